/**
 * Bounds of request fields. Those that OpenAI documents are the same here; the others keep a single request from taking
 * the service away from everybody else.
 *
 * @module
 */

export const maxNameLength = 256;
export const maxChoices = 16;
/** Prompts × n of one request. */
export const maxCompletionsPerRequest = 64;
export const maxPrompts = 64;
/** Texts of one POST /v1/embeddings. */
export const maxEmbeddingInputs = 2048;
/** Adapters of one request. */
export const maxAdapters = 64;
export const maxAdapterWeight = 1000;
export const maxMessages = 1024;
export const maxContentParts = 256;
/** Limits of one message. */
export const maxToolCalls = 128;
export const maxTokensBound = 1_000_000;
export const maxStopSequences = 4;
export const maxStopLength = 256;
export const maxTopLogprobs = 20;
/** Most alternatives of POST /v1/completions, where OpenAI allows fewer. */
export const maxLegacyLogprobs = 5;
export const maxLogitBiases = 1024;
export const maxTopK = 100_000;
export const maxSuffixLength = 64;
export const maxMetadataPairs = 16;
export const maxMetadataKey = 64;
export const maxMetadataValue = 512;
export const maxEpochs = 10_000;
export const maxPageSize = 100;
export const maxFilesPageSize = 10_000;
export const maxIdempotencyKeyLength = 255;
/** Seconds for which POST /v1/bench repeats each case, by each of two clocks. */
export const maxBenchSeconds = 1;
export const minBenchSeconds = 0.001;
/** Rows of one request of a step run. */
export const maxRunExamples = 1024;
/** Steps × queries of a step run, whose trajectory stays in memory. */
export const maxTrajectoryNumbers = 1_000_000;
/** The largest finite f32. */
export const maxSingle = 3.4028234663852886e38;
/** Tokens of a completion without `max_tokens`: OpenAI's default. */
export const defaultMaxTokens = 16;
/** Token ids are below this whatever the model; each is checked against the vocabulary as well. */
export const maxTokenId = 2 ** 31 - 1;
