/**
 * The form that starts a job. Files are uploaded when they are chosen, so that a faulty line is named at once.
 *
 * @module
 */

import { find, make, reasonOf, setOptions } from './page.js';
import { call, ServiceError } from './service.js';

const form = find('job-form', HTMLFormElement);
const problem = find('job-error', HTMLElement);

/** Choices that other settings depend on. */
const choices = ['optimizer', 'scheme'];

/**
 * @param {string} name
 * @returns {HTMLInputElement | HTMLSelectElement}
 */
function field(name) {
  return /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
}

/** @param {(job: any) => void} onCreated */
export function startForm(onCreated) {
  for (const input of form.querySelectorAll('input[type="file"]')) {
    input.addEventListener('change', () => upload(/** @type {HTMLInputElement} */ (input)));
  }
  for (const name of choices) field(name).addEventListener('change', adapt);
  adapt();
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    clear();
    const button = /** @type {HTMLButtonElement} */ (form.querySelector('[type="submit"]'));
    button.disabled = true;
    try {
      onCreated(await call('createJob', { body: request() }));
    } catch (error) {
      complain(error);
    } finally {
      button.disabled = false;
    }
  });
}

/**
 * @param {any[]} models
 * @param {any[]} files
 */
export function offer(models, files) {
  const bases = models.filter(({ parent }) => parent === null);
  setOptions(
    /** @type {HTMLSelectElement} */ (field('model')),
    bases.map(({ id }) => ({ value: id, text: id })),
  );
  const training = files
    .filter(({ purpose }) => purpose === 'fine-tune')
    .map(({ id, filename, lines }) => ({ value: id, text: `${filename} (${lines.toLocaleString('en')} examples)` }));
  const nothing = { value: '', text: training.length > 0 ? 'choose …' : 'upload a file first' };
  setOptions(/** @type {HTMLSelectElement} */ (field('training_file')), [nothing, ...training]);
  setOptions(/** @type {HTMLSelectElement} */ (field('validation_file')), [{ value: '', text: 'none' }, ...training]);
}

/** Reads the lists that the form offers. */
export async function refreshFiles() {
  const [models, files] = await Promise.all([call('listModels'), call('listFiles', { query: { limit: '100' } })]);
  offer(models.data, files.data);
}

/** Shows the settings that the choices have. The form's own values are for the first of each. */
function adapt() {
  for (const name of choices) {
    const attribute = `data-${name}s`;
    for (const element of form.querySelectorAll(`[${attribute}]`)) {
      /** @type {HTMLElement} */ (element).hidden = !element
        .getAttribute(attribute)
        ?.split(' ')
        .includes(field(name).value);
    }
  }
  const isFirst = choices.every((name) => /** @type {HTMLSelectElement} */ (field(name)).selectedIndex === 0);
  // Left empty, the service fills in what it has for the choices.
  for (const element of form.querySelectorAll('[data-dependent]')) {
    const input = /** @type {HTMLInputElement} */ (element);
    input.value = isFirst ? input.defaultValue : '';
  }
}

/** @param {HTMLInputElement} input */
async function upload(input) {
  const [file] = input.files ?? [];
  if (!file) return;
  clear();
  const caption = /** @type {HTMLElement} */ (input.parentElement);
  caption.setAttribute('aria-busy', 'true');
  const body = new FormData();
  body.set('purpose', 'fine-tune');
  body.set('file', file);
  try {
    const uploaded = await call('uploadFile', { body });
    await refreshFiles();
    field(String(input.dataset.for)).value = uploaded.id;
  } catch (error) {
    complain(error, String(input.dataset.for));
  } finally {
    caption.removeAttribute('aria-busy');
    input.value = '';
  }
}

/**
 * What is no number goes as it is: the service says what is wrong with it.
 * @param {string} text
 * @param {string} type that of the setting
 */
function typed(text, type) {
  if (type === 'list') return text.split(/[\s,]+/).filter((item) => item !== '');
  if (type === 'text') return text;
  if (type === 'boolean') return text === 'true';
  return Number.isNaN(Number(text)) ? text : Number(text);
}

function request() {
  /** @type {Record<string, unknown>} */
  const hyperparameters = {};
  for (const element of form.querySelectorAll('[data-type]')) {
    const input = /** @type {HTMLInputElement | HTMLSelectElement} */ (element);
    const text = input.value.trim();
    if (text !== '' && input.closest('[hidden]') === null) {
      hyperparameters[input.name] = typed(text, String(input.dataset.type));
    }
  }
  const { value: validation } = field('validation_file');
  const suffix = field('suffix').value.trim();
  return {
    model: field('model').value,
    training_file: field('training_file').value,
    ...(validation ? { validation_file: validation } : {}),
    ...(suffix ? { suffix, metadata: { name: suffix } } : {}),
    method: { type: 'zeroth_order', zeroth_order: { hyperparameters } },
  };
}

function clear() {
  problem.hidden = true;
  for (const input of form.querySelectorAll('[aria-invalid]')) {
    input.removeAttribute('aria-invalid');
    input.removeAttribute('aria-describedby');
  }
}

/**
 * Shows what went wrong, at the field it is about.
 * @param {unknown} error
 * @param {string} [name] the field, if the error does not say
 */
function complain(error, name) {
  const parameter = error instanceof ServiceError ? error.param?.split('.').pop() : undefined;
  const input = form.elements.namedItem(name ?? parameter ?? '');
  const words = error instanceof ServiceError && parameter === 'training_file' && field('training_file').value === '';
  problem.replaceChildren(make('span', {}, words ? 'Choose or upload the training data.' : reasonOf(error)));
  problem.hidden = false;
  if (!(input instanceof HTMLElement)) return;
  input.closest('details')?.setAttribute('open', '');
  input.setAttribute('aria-invalid', 'true');
  input.setAttribute('aria-describedby', problem.id);
  input.focus();
}
