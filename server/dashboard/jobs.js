/**
 * The list of jobs and the one that is looked at: its events as they happen, charts, and the buttons that steer it.
 *
 * @module
 */

import { Chart } from './chart.js';
import { settingsOf } from './job-settings.js';
import { find, formatBytes, formatCount, formatDuration, make, reasonOf } from './page.js';
import { call, eventsOf, send } from './service.js';

const list = find('job-list', HTMLUListElement);
const form = find('job-form', HTMLFormElement);
const view = find('job-view', HTMLElement);
const title = find('job-title', HTMLElement);
const facts = find('job-facts', HTMLElement);
const state = find('job-state', HTMLElement);
const bar = find('job-progress', HTMLProgressElement);
const log = find('job-log', HTMLOListElement);
const settings = find('job-settings', HTMLDListElement);

const cluster = find('job-cluster', HTMLElement);
const machines = find('job-machines', HTMLTableSectionElement);

const charts = {
  loss: new Chart('Loss'),
  reward: new Chart('Reward'),
  accuracy: new Chart('Accuracy', [0, 1]),
  gradient: new Chart('Projected gradient ρ', [0]),
};
find('charts', HTMLElement).append(...Object.values(charts).map(({ element }) => element));

const finished = ['succeeded', 'failed', 'cancelled'];
/** Pause before a broken stream is taken up again. */
const reconnectMilliseconds = 2000;
/** Messages shown of a job. */
const shownMessages = 200;
/** Pause between looks at who takes part in a job. */
const clusterMilliseconds = 2000;

/** @typedef {import('./chart.js').Point} Point */

/** What the events of the selected job have told. */
function emptyHistory() {
  return {
    lastId: '',
    /** @type {Record<string, Point[]>} */
    values: {
      ...{ train_loss: [], valid_loss: [], train_reward: [], valid_reward: [] },
      ...{ train_accuracy: [], valid_accuracy: [], projected_gradient: [] },
    },
    speed: 0,
    eta: Number.NaN,
  };
}

/** @type {any[]} */
let jobs = [];
/** @type {string | undefined} */
let selected;
let history = emptyHistory();
/** @type {AbortController | undefined} */
let following;
/** @type {(problem: string) => void} */
let report = () => {};
/** @type {(model: string, base: string) => void} */
let onCompare = () => {};
/** @type {() => void} */
let onFinished = () => {};
let first = true;

/**
 * @param {{report: typeof report, compare: typeof onCompare, finished: typeof onFinished}} listeners
 */
export function startJobs(listeners) {
  report = listeners.report;
  onCompare = listeners.compare;
  onFinished = listeners.finished;
  find('new-job', HTMLButtonElement).addEventListener('click', () => showForm());
  for (const action of /** @type {const} */ (['pause', 'resume', 'cancel'])) {
    find(action, HTMLButtonElement).addEventListener('click', () => act(action));
  }
  find('compare', HTMLButtonElement).addEventListener('click', () => {
    const job = current();
    if (job?.fine_tuned_model) onCompare(job.fine_tuned_model, job.model);
  });
}

function current() {
  return jobs.find(({ id }) => id === selected);
}

/** @param {any} job */
function nameOf(job) {
  return job.metadata?.name || job.fine_tuned_model?.split(':')[2] || job.id.replace('ftjob-', '').slice(0, 10);
}

/** Reads the list anew. The first time, the newest job is shown. */
export async function refreshJobs() {
  const page = await call('listJobs', { query: { limit: '50' } });
  jobs = page.data;
  if (first && jobs.length > 0 && selected === undefined) select(jobs[0].id);
  first = false;
  render();
}

/** Shows the form for a new job. */
export function showForm() {
  select(undefined);
  const start = form.elements.namedItem('model');
  if (start instanceof HTMLElement) start.focus();
}

/**
 * @param {any} job as it was just created
 */
export function showJob(job) {
  jobs = [job, ...jobs.filter(({ id }) => id !== job.id)];
  select(job.id);
  title.focus();
}

/** @param {string | undefined} id */
function select(id) {
  selected = id;
  following?.abort();
  history = emptyHistory();
  log.replaceChildren();
  form.hidden = id !== undefined;
  view.hidden = id === undefined;
  render();
  if (id !== undefined) {
    drawCharts();
    follow(id);
  }
}

/** @param {'pause' | 'resume' | 'cancel'} action */
async function act(action) {
  if (selected === undefined) return;
  if (action === 'cancel' && !confirm('Cancel this job? It cannot be resumed.')) return;
  const id = selected;
  for (const name of ['pause', 'resume', 'cancel']) find(name, HTMLButtonElement).disabled = true;
  try {
    replace(await call(`${action}Job`, { id }));
    if (action === 'resume') follow(id);
  } catch (error) {
    report(reasonOf(error));
    await refreshJobs();
  }
}

/** @param {any} job */
function replace(job) {
  jobs = jobs.map((other) => (other.id === job.id ? job : other));
  render();
}

/**
 * Follows the events of a job until it ends or another is selected, through broken connections.
 * @param {string} id
 */
async function follow(id) {
  following?.abort();
  const controller = new AbortController();
  following = controller;
  const { signal } = controller;
  while (!signal.aborted) {
    try {
      /** @type {Record<string, string>} */
      const headers = history.lastId ? { 'last-event-id': history.lastId } : {};
      const response = await send('jobEvents', { id, query: { stream: 'true' }, signal, headers });
      // 204: the job has ended and everything was seen.
      if (response.status !== 204) {
        for await (const event of eventsOf(response)) {
          if (signal.aborted) return;
          if (event.id) history.lastId = event.id;
          take(event.data);
        }
      }
      const job = await call('getJob', { id, signal });
      replace(job);
      if (finished.includes(job.status)) {
        onFinished();
        return;
      }
    } catch (error) {
      if (signal.aborted) return;
      report(reasonOf(error));
    }
    await new Promise((resolve) => setTimeout(resolve, reconnectMilliseconds));
  }
}

let lookedAt = 0;

/** Asks who takes part in the job that is followed. */
async function lookAtCluster() {
  if (performance.now() - lookedAt < clusterMilliseconds) return;
  lookedAt = performance.now();
  const id = selected;
  if (id === undefined) return;
  try {
    const { cluster } = await call('getJob', { id, ...(following ? { signal: following.signal } : {}) });
    const job = current();
    if (job?.id !== id) return;
    job.cluster = cluster;
    renderCluster(job);
  } catch {
    // What is wrong is told where the events are followed.
  }
}

/** @param {any} event */
function take(event) {
  const { data } = event;
  if (current()?.status === 'running' && (event.type === 'message' || current().cluster)) void lookAtCluster();
  if (event.type === 'metrics' && typeof data?.step === 'number') {
    for (const [name, points] of Object.entries(history.values)) {
      if (typeof data[name] !== 'number') continue;
      // A run that started over repeats steps: what came before is no longer true.
      while (points.length > 0 && points[points.length - 1][0] >= data.step) points.pop();
      points.push([data.step, data[name]]);
    }
    if (typeof data.tokens_per_second === 'number') history.speed = data.tokens_per_second;
    if (typeof data.eta_seconds === 'number') history.eta = data.eta_seconds;
    const job = current();
    if (job && typeof data.total_steps === 'number') {
      job.progress = { step: data.step, total_steps: data.total_steps, train_loss: data.train_loss };
    }
    drawCharts();
  }
  if (event.type === 'message' || data?.valid_loss !== undefined) {
    const time = new Date(event.created_at * 1000);
    log.append(
      make(
        'li',
        { class: event.level },
        make('time', { datetime: time.toISOString() }, time.toLocaleTimeString()),
        ` ${event.message}`,
      ),
    );
    while (log.childElementCount > shownMessages) log.firstElementChild?.remove();
    const job = current();
    if (event.message === 'Fine-tuning job started' && job && !finished.includes(job.status)) job.status = 'running';
  }
  render();
}

function drawCharts() {
  const { values } = history;
  for (const name of /** @type {const} */ (['loss', 'reward', 'accuracy'])) {
    charts[name].update([
      { name: 'training', kind: 'noisy', points: values[`train_${name}`] },
      { name: 'validation', kind: 'evaluation', points: values[`valid_${name}`] },
    ]);
  }
  charts.gradient.update([{ name: 'ρ', kind: 'plain', points: values.projected_gradient }]);
}

function render() {
  renderList();
  const job = current();
  if (job) renderJob(job);
}

function renderList() {
  if (jobs.length === 0) {
    list.replaceChildren(make('li', { class: 'empty' }, 'None yet. Start one here.'));
    return;
  }
  const known = new Map([...list.querySelectorAll('button')].map((button) => [button.dataset.id, button]));
  const rows = jobs.map((job) => {
    const { step, total_steps: total } = job.progress;
    // The same button stays in place, so that the focus does.
    const button = known.get(job.id) ?? make('button', { type: 'button', class: 'job', 'data-id': job.id });
    if (!known.has(job.id)) button.addEventListener('click', () => select(job.id));
    button.setAttribute('aria-current', String(job.id === selected));
    const text = `${nameOf(job)}|${job.status}|${step}`;
    if (button.dataset.text !== text) {
      button.dataset.text = text;
      button.replaceChildren(
        make(
          'span',
          { class: 'line' },
          make('span', { class: 'name' }, nameOf(job)),
          make('span', { class: `status ${job.status}` }, job.status),
        ),
        make(
          'small',
          {},
          `${job.model} · `,
          make('span', { class: 'whole' }, `step ${step.toLocaleString('en')} of ${total.toLocaleString('en')}`),
        ),
      );
    }
    return button;
  });
  if (
    [...list.querySelectorAll('button')].some((button, index) => button !== rows[index]) ||
    rows.length !== known.size
  ) {
    list.replaceChildren(...rows.map((row) => make('li', {}, row)));
  }
}

/** @param {any} job */
function renderCluster(job) {
  const workers = job.status === 'running' ? (job.cluster?.workers ?? []) : [];
  cluster.hidden = workers.length === 0;
  machines.replaceChildren(
    ...workers.map((/** @type {any} */ worker) => {
      const notes = [
        ...(worker.leader ? ['this server'] : []),
        ...(worker.differs ? ['differs'] : []),
        ...(worker.refused > 0 ? [`${worker.refused} refused`] : []),
      ];
      return make(
        'tr',
        {},
        make('th', { scope: 'row' }, `${worker.name}${notes.length > 0 ? ` (${notes.join(', ')})` : ''}`),
        make('td', { class: 'name' }, worker.adapter),
        make('td', {}, worker.steps_per_second.toFixed(2)),
        make('td', {}, formatCount(Math.round(worker.tokens_per_second))),
        make('td', {}, `${worker.lag} ${worker.lag === 1 ? 'step' : 'steps'}`),
        make('td', {}, `${Math.round(100 * worker.waiting_share)} %`),
        make('td', {}, formatBytes(Math.round(worker.bytes_per_step))),
      );
    }),
  );
}

/** @param {any} job */
function renderJob(job) {
  renderCluster(job);
  const { step, total_steps: total } = job.progress;
  title.textContent = nameOf(job);
  facts.textContent = job.fine_tuned_model ? `Model: ${job.fine_tuned_model}` : `${job.model}, ${job.id}`;
  bar.value = total > 0 ? step / total : 0;
  const parts = [job.status, `step ${step.toLocaleString('en')} of ${total.toLocaleString('en')}`];
  if (job.status === 'running' && history.speed > 0) {
    parts.push(`${formatCount(Math.round(history.speed))} tokens/s`);
    if (Number.isFinite(history.eta)) parts.push(`${formatDuration(history.eta)} left`);
  }
  if (finished.includes(job.status) && job.trained_tokens) parts.push(`${formatCount(job.trained_tokens)} tokens`);
  if (job.finished_at) parts.push(`took ${formatDuration(job.finished_at - job.created_at)}`);
  if (job.error) parts.push(job.error.message);
  const words = parts.join(' · ');
  if (state.textContent !== words) state.textContent = words;
  find('pause', HTMLButtonElement).disabled = !['queued', 'running'].includes(job.status);
  find('resume', HTMLButtonElement).disabled = !['paused', 'failed'].includes(job.status);
  find('cancel', HTMLButtonElement).disabled = finished.includes(job.status);
  for (const name of ['pause', 'resume', 'cancel']) {
    const button = find(name, HTMLButtonElement);
    button.hidden = button.disabled && document.activeElement !== button;
  }
  find('compare', HTMLButtonElement).hidden = !job.fine_tuned_model;
  if (settings.dataset.job !== job.id) {
    settings.dataset.job = job.id;
    settings.replaceChildren(
      ...settingsOf(job).map(([name, value]) => make('div', {}, make('dt', {}, name), make('dd', {}, value))),
    );
  }
}
