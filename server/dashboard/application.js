/**
 * The dashboard: puts the parts together and keeps them up to date.
 *
 * @module
 */

import { refreshFiles, startForm } from './job-form.js';
import { refreshJobs, showJob, startJobs } from './jobs.js';
import { showModels } from './models.js';
import { find, formatBytes, reasonOf } from './page.js';
import { compare, offerModels, startPlayground } from './playground.js';
import { call, onKeyNeeded } from './service.js';
import { showStepRuns } from './step-runs.js';

const refreshMilliseconds = 3000;
/** How long a problem that passed by stays on the page. */
const noticeMilliseconds = 10_000;

const notice = find('notice', HTMLElement);
const connection = find('connection', HTMLElement);
const keyDialog = find('key-dialog', HTMLDialogElement);

/** @type {ReturnType<typeof setTimeout> | undefined} */
let noticeTimer;

/** @param {string} problem */
function report(problem) {
  notice.textContent = problem;
  notice.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => (notice.hidden = true), noticeMilliseconds);
}

onKeyNeeded(
  (wrong) =>
    new Promise((resolve) => {
      const input = find('key-input', HTMLInputElement);
      find('key-reason', HTMLElement).textContent = wrong
        ? 'That is not the key of this server.'
        : 'This server needs its API key.';
      input.value = '';
      keyDialog.showModal();
      // Closed without a key, it comes again: nothing works without one.
      keyDialog.onclose = () => (input.value === '' ? keyDialog.showModal() : resolve(input.value));
    }),
);

async function refreshDevice() {
  const { adapter, memory } = await call('device');
  find('adapter', HTMLElement).textContent =
    (adapter.description || adapter.device || adapter.vendor) + (adapter.software ? ' (software)' : '');
  find('memory', HTMLElement).textContent =
    `GPU memory ${formatBytes(memory.live_bytes)}, peak ${formatBytes(memory.peak_bytes)}`;
  find('memory', HTMLElement).title = Object.entries(memory.by_category)
    .map(([name, bytes]) => `${name}: ${formatBytes(Number(bytes))}`)
    .join('\n');
}

async function refreshModels() {
  const { data } = await call('listModels');
  showModels(data, { report, changed: () => refresh() });
  offerModels(data);
}

async function refreshStepRuns() {
  const { data } = await call('listRuns');
  showStepRuns(data);
}

/** @param {boolean} up */
function showConnection(up) {
  connection.className = `dot ${up ? 'up' : 'down'}`;
  connection.setAttribute('aria-label', up ? 'connected' : 'not connected');
}

async function refresh() {
  try {
    await Promise.all([refreshDevice(), refreshModels(), refreshJobs(), refreshFiles(), refreshStepRuns()]);
    showConnection(true);
  } catch (error) {
    showConnection(false);
    report(reasonOf(error));
  }
}

startJobs({ report, compare, finished: () => refresh() });
startForm((job) => showJob(job));
startPlayground();

for (;;) {
  if (!document.hidden) await refresh();
  await new Promise((resolve) => setTimeout(resolve, refreshMilliseconds));
}
