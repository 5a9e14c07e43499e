/**
 * Two models on one prompt, side by side, streaming; with the most likely first tokens of each.
 *
 * @module
 */

import { find, make, reasonOf, setOptions } from './page.js';
import { eventsOf, send } from './service.js';

const form = find('play-form', HTMLFormElement);
const stop = find('play-stop', HTMLButtonElement);

/** Alternatives shown for the first token. */
const shownAlternatives = 5;

/** @param {string} name */
function value(name) {
  return /** @type {HTMLInputElement} */ (form.elements.namedItem(name)).value;
}

class Pane {
  /** @param {string} label */
  constructor(label) {
    this.select = make('select', {});
    this.answer = make('div', {
      class: 'answer',
      role: 'status',
      'aria-label': `Answer of the ${label.toLowerCase()}`,
    });
    this.statistics = make('p', { class: 'statistics' });
    this.likely = make('div', { class: 'likely', hidden: true });
    this.element = make('div', {}, make('label', {}, label, this.select), this.answer, this.statistics, this.likely);
  }

  /**
   * @param {AbortSignal} signal
   */
  async run(signal) {
    const prompt = value('prompt');
    const isChat = value('kind') === 'chat';
    this.answer.replaceChildren(...(isChat ? [] : [make('span', { class: 'given' }, prompt)]));
    this.statistics.textContent = '…';
    this.likely.hidden = true;
    const shared = {
      model: this.select.value,
      max_tokens: Number(value('max_tokens')),
      temperature: Number(value('temperature')),
      seed: Number(value('seed')),
      stream: true,
      stream_options: { include_usage: true },
    };
    const body = isChat
      ? { ...shared, messages: [{ role: 'user', content: prompt }], logprobs: true, top_logprobs: shownAlternatives }
      : { ...shared, prompt, logprobs: shownAlternatives };
    const started = performance.now();
    let firstToken = 0;
    let tokens = 0;
    try {
      const response = await send(isChat ? 'chat' : 'complete', { body, signal });
      for await (const { data } of eventsOf(response)) {
        tokens = data.usage?.completion_tokens ?? tokens;
        const choice = data.choices[0];
        if (!choice) continue;
        const alternatives = alternativesOf(choice.logprobs);
        if (alternatives.length > 0 && firstToken === 0) {
          firstToken = performance.now() - started;
          this.#showLikely(alternatives);
        }
        this.answer.append(choice.text ?? choice.delta?.content ?? '');
      }
      const seconds = (performance.now() - started) / 1000;
      const rate = (tokens / seconds).toFixed(1);
      this.statistics.textContent = `${tokens} tokens · first after ${Math.round(firstToken)} ms · ${rate} tokens/s`;
    } catch (error) {
      this.statistics.textContent = signal.aborted ? 'stopped' : reasonOf(error);
    }
  }

  /** @param {{text: string, logprob: number}[]} alternatives */
  #showLikely(alternatives) {
    this.likely.replaceChildren(
      ...alternatives.flatMap(({ text, logprob }) => {
        const probability = Math.exp(logprob);
        const shown = JSON.stringify(text).slice(1, -1).replaceAll(' ', '␣');
        return [
          make('code', {}, shown),
          make('meter', { min: 0, max: 1, value: probability, 'aria-label': `probability of ${shown}` }),
          make('span', {}, probability >= 0.001 ? `${(probability * 100).toFixed(1)} %` : '< 0.1 %'),
        ];
      }),
    );
    this.likely.hidden = false;
  }
}

/**
 * The alternatives of the first token of a chunk, the likeliest first.
 * @param {any} logprobs
 * @returns {{text: string, logprob: number}[]}
 */
function alternativesOf(logprobs) {
  /** @type {{text: string, logprob: number}[]} */
  const found = logprobs?.content?.[0]
    ? logprobs.content[0].top_logprobs.map((/** @type {any} */ item) => ({ text: item.token, logprob: item.logprob }))
    : Object.entries(logprobs?.top_logprobs?.[0] ?? {}).map(([text, logprob]) => ({ text, logprob: Number(logprob) }));
  return found.sort((a, b) => b.logprob - a.logprob).slice(0, shownAlternatives);
}

const panes = [new Pane('Model'), new Pane('Compared with')];
let chosen = false;

export function startPlayground() {
  find('panes', HTMLElement).append(...panes.map(({ element }) => element));
  /** @type {AbortController | undefined} */
  let running;
  const start = /** @type {HTMLButtonElement} */ (form.querySelector('[type="submit"]'));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (running) return;
    running = new AbortController();
    const { signal } = running;
    start.disabled = true;
    stop.disabled = false;
    await Promise.all(panes.map((pane) => pane.run(signal)));
    running = undefined;
    start.disabled = false;
    stop.disabled = true;
  });
  stop.addEventListener('click', () => running?.abort());
  form.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

/**
 * @param {any[]} models
 */
export function offerModels(models) {
  const options = models.map(({ id }) => ({ value: id, text: id }));
  const bases = models.filter(({ parent }) => parent === null);
  const newest = models.filter(({ parent, id }) => parent !== null && !id.includes(':ckpt-step-')).pop();
  setOptions(panes[0].select, options, bases[0]?.id);
  setOptions(panes[1].select, options, newest?.id ?? bases[0]?.id);
  // Until a person or a job has chosen, the newest tuned model is the one to compare.
  if (!chosen && newest) {
    panes[1].select.value = newest.id;
    chosen = true;
  }
}

/**
 * Chooses a tuned model and its base.
 * @param {string} model
 * @param {string} base
 */
export function compare(model, base) {
  chosen = true;
  panes[0].select.value = base;
  panes[1].select.value = model;
  find('playground', HTMLElement).scrollIntoView();
  const prompt = form.elements.namedItem('prompt');
  if (prompt instanceof HTMLElement) prompt.focus({ preventScroll: true });
}
