/** A set-up step that could not be done, with lines that say what the user can do about it. */
export class SetUpError extends Error {
  /**
   * @param {string} message
   * @param {string[]} [advice] printed below the message, each on its own line
   */
  constructor(message, advice = []) {
    super(message);
    this.name = 'SetUpError';
    this.advice = advice;
  }
}
