/**
 * A headless Chromium over its debugging protocol: enough to open a page, run expressions in it, type, and take
 * pictures.
 *
 * @module
 * @see https://chromedevtools.github.io/devtools-protocol/
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const programs = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** The Chromium of this machine, if it has one. */
export function findBrowser(): string | undefined {
  for (const program of programs) {
    try {
      return execFileSync('which', [program], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {
      // Not this one.
    }
  }
  return undefined;
}

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--hide-scrollbars',
  '--remote-debugging-port=0',
];

export interface ViewOptions {
  width: number;
  height: number;
  dark?: boolean;
  phone?: boolean;
}

interface Answer {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { message: string };
}

export class Page {
  readonly #socket: WebSocket;
  readonly #process: ChildProcess;
  readonly #profile: string;
  readonly #waiting = new Map<number, { resolve(value: Record<string, unknown>): void; reject(error: Error): void }>();
  #nextId = 1;
  /** What the page complained about: exceptions, failed loads, violations of its policy. */
  readonly problems: string[] = [];
  /** Every URL that the page asked for. */
  readonly requests: string[] = [];

  /** Starts a browser with an empty profile and one page. */
  static async open(program: string): Promise<Page> {
    const profile = mkdtempSync(join(tmpdir(), 'subzero-browser-'));
    const child = spawn(program, [...flags, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const address = await new Promise<string>((resolve, reject) => {
      let text = '';
      child.stderr!.on('data', (data) => {
        text += data;
        const found = /ws:\/\/([\d.:]+)\//.exec(text)?.[1];
        if (found) resolve(found);
      });
      child.once('exit', (code) => reject(new Error(`the browser ended with ${code}: ${text}`)));
    });
    const pages = (await (await fetch(`http://${address}/json/list`)).json()) as {
      type: string;
      webSocketDebuggerUrl: string;
    }[];
    const socket = new WebSocket(pages.find(({ type }) => type === 'page')!.webSocketDebuggerUrl);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    const page = new Page(socket, child, profile);
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.send(`${domain}.enable`);
    return page;
  }

  constructor(socket: WebSocket, child: ChildProcess, profile: string) {
    this.#socket = socket;
    this.#process = child;
    this.#profile = profile;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(String(data)) as Answer);
  }

  #receive({ id, method, params, result, error }: Answer): void {
    if (id !== undefined) {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) waiting?.reject(new Error(error.message));
      else waiting?.resolve(result ?? {});
    } else if (method === 'Runtime.exceptionThrown') {
      this.problems.push(JSON.stringify(params!.exceptionDetails));
    } else if (method === 'Log.entryAdded') {
      const entry = params!.entry as { level: string; text: string; url?: string };
      if (entry.level === 'error') this.problems.push(`${entry.text} ${entry.url ?? ''}`);
    } else if (method === 'Network.requestWillBeSent') {
      this.requests.push((params!.request as { url: string }).url);
    } else if (method === 'Page.javascriptDialogOpening') {
      void this.send('Page.handleJavaScriptDialog', { accept: true });
    }
  }

  send(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = this.#nextId++;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  async goTo(url: string): Promise<void> {
    await this.send('Page.navigate', { url });
    await this.until('document.readyState === "complete"');
  }

  /** The value of an expression in the page, promises awaited. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = (await this.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    })) as { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } };
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? expression);
    return result.value;
  }

  /** Waits until an expression is true in the page. */
  async until(expression: string, seconds = 30): Promise<void> {
    const deadline = Date.now() + seconds * 1000;
    while (!(await this.evaluate<boolean>(`Boolean(${expression})`))) {
      if (Date.now() > deadline) throw new Error(`not in time: ${expression}`);
      await sleep(50);
    }
  }

  /** Chooses files for an input, as a person would in the dialog. */
  async chooseFile(selector: string, path: string): Promise<void> {
    const { root } = (await this.send('DOM.getDocument')) as { root: { nodeId: number } };
    const { nodeId } = await this.send('DOM.querySelector', { nodeId: root.nodeId, selector });
    await this.send('DOM.setFileInputFiles', { nodeId, files: [path] });
  }

  /** Presses one key, such as `Tab`, `Enter` or `ArrowLeft`. */
  async press(key: string, modifiers = 0): Promise<void> {
    const text = key === 'Enter' ? '\r' : undefined;
    const common = { key, code: key, modifiers, windowsVirtualKeyCode: { Enter: 13, Tab: 9, ArrowLeft: 37 }[key] ?? 0 };
    await this.send('Input.dispatchKeyEvent', {
      type: text ? 'keyDown' : 'rawKeyDown',
      ...common,
      ...(text ? { text } : {}),
    });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...common });
  }

  /** Types text into what has the focus. */
  async type(text: string): Promise<void> {
    await this.send('Input.insertText', { text });
  }

  async setView({ width, height, dark = false, phone = false }: ViewOptions): Promise<void> {
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: phone });
    const value = dark ? 'dark' : 'light';
    await this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] });
  }

  /** A picture of the whole page. */
  async screenshot(path: string): Promise<void> {
    const { data } = await this.send('Page.captureScreenshot', { captureBeyondViewport: true });
    writeFileSync(path, Buffer.from(String(data), 'base64'));
  }

  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#socket.close();
    this.#process.kill();
    await gone;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
