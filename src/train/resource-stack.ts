/**
 * What a run holds, given back in the end in reverse order, each of it even where another one fails.
 *
 * @module
 */

export class ResourceStack {
  #resources: (() => void | Promise<void>)[] = [];

  /** Takes charge of a resource. @returns the resource */
  own<T>(resource: T, close: (resource: T) => void | Promise<void>): T {
    this.#resources.push(() => close(resource));
    return resource;
  }

  /** Gives everything back. Calling it again does nothing. @throws the first failure, after all have had their turn */
  async close(): Promise<void> {
    const resources = this.#resources.reverse();
    this.#resources = [];
    const failures: unknown[] = [];
    for (const close of resources) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Gives everything back after an error, which counts more than what may fail now. @returns the error */
  async fail<T>(error: T): Promise<T> {
    await this.close().catch(() => {});
    return error;
  }
}

/** How to give back what is closed, and what is destroyed. */
export const close = (resource: { close(): Promise<void> }): Promise<void> => resource.close();
export const destroy = (resource: { destroy(): void }): void => resource.destroy();
