/**
 * Counters, gauges and histograms in the text format of Prometheus.
 *
 * @module
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */

type Labels = Record<string, string>;

/** Upper bounds of the request-duration histogram, in seconds; generation takes far longer than a look-up. */
const durationBuckets = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

interface Family {
  help: string;
  type: 'counter' | 'gauge' | 'histogram';
  values: Map<string, number>;
}

function render(name: string, labels: Labels): string {
  const pairs = Object.entries(labels).map(
    ([key, value]) => `${key}="${value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')}"`,
  );
  return pairs.length ? `${name}{${pairs.join(',')}}` : name;
}

/**
 * The series of one service. Label values come from small fixed sets, never from clients, so that memory stays bounded.
 */
export class Metrics {
  readonly #families = new Map<string, Family>();

  #family(name: string, type: Family['type'], help: string): Family {
    let family = this.#families.get(name);
    if (!family) this.#families.set(name, (family = { help, type, values: new Map() }));
    return family;
  }

  /** Adds to a counter. */
  count(name: string, help: string, labels: Labels = {}, amount = 1): void {
    const { values } = this.#family(name, 'counter', help);
    const key = render(name, labels);
    values.set(key, (values.get(key) ?? 0) + amount);
  }

  /** Sets a gauge. */
  set(name: string, help: string, value: number, labels: Labels = {}): void {
    this.#family(name, 'gauge', help).values.set(render(name, labels), value);
  }

  /** Sets all series of a gauge at once; earlier ones that are not among them are removed. */
  replace(name: string, help: string, series: readonly { labels: Labels; value: number }[]): void {
    const { values } = this.#family(name, 'gauge', help);
    values.clear();
    for (const { labels, value } of series) values.set(render(name, labels), value);
  }

  /** Adds a duration in seconds to a histogram. */
  observe(name: string, help: string, seconds: number, labels: Labels = {}): void {
    const { values } = this.#family(name, 'histogram', help);
    const add = (suffix: string, extra: Labels, amount: number) => {
      const key = render(name + suffix, { ...labels, ...extra });
      values.set(key, (values.get(key) ?? 0) + amount);
    };
    for (const bound of durationBuckets) add('_bucket', { le: String(bound) }, seconds <= bound ? 1 : 0);
    add('_bucket', { le: '+Inf' }, 1);
    add('_sum', {}, seconds);
    add('_count', {}, 1);
  }

  /** The whole page. */
  text(): string {
    const lines: string[] = [];
    for (const [name, { help, type, values }] of this.#families) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
      for (const [series, value] of values) lines.push(`${series} ${value}`);
    }
    return `${lines.join('\n')}\n`;
  }
}
