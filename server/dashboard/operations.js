/**
 * Every request that the page makes, as method and path of the API's description. A test holds them against it.
 *
 * @module
 */

export const operations = /** @type {const} */ ({
  device: ['GET', '/v1/device'],
  listModels: ['GET', '/v1/models'],
  deleteModel: ['DELETE', '/v1/models/{model}'],
  listRuns: ['GET', '/v1/zo/runs'],
  listFiles: ['GET', '/v1/files'],
  uploadFile: ['POST', '/v1/files'],
  listJobs: ['GET', '/v1/fine_tuning/jobs'],
  createJob: ['POST', '/v1/fine_tuning/jobs'],
  getJob: ['GET', '/v1/fine_tuning/jobs/{fine_tuning_job_id}'],
  pauseJob: ['POST', '/v1/fine_tuning/jobs/{fine_tuning_job_id}/pause'],
  resumeJob: ['POST', '/v1/fine_tuning/jobs/{fine_tuning_job_id}/resume'],
  cancelJob: ['POST', '/v1/fine_tuning/jobs/{fine_tuning_job_id}/cancel'],
  jobEvents: ['GET', '/v1/fine_tuning/jobs/{fine_tuning_job_id}/events'],
  complete: ['POST', '/v1/completions'],
  chat: ['POST', '/v1/chat/completions'],
});

/** @typedef {keyof typeof operations} OperationName */
