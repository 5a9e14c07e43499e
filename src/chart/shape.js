/**
 * Elements of an SVG drawing as plain data: a file writes them as text, a page makes elements of them.
 *
 * @module
 */

/**
 * @typedef {object} Shape
 * @property {string} tag
 * @property {Record<string, string | number>} attributes
 * @property {string} [text] what stands in it, not yet escaped
 * @property {Shape[]} [children]
 */

/**
 * Rounds to a tenth of a pixel, which is finer than can be seen.
 * @param {number} value
 * @returns {number}
 */
export function pixel(value) {
  return Math.round(value * 10) / 10;
}

/**
 * A line of text.
 * @param {string} name class; none if empty
 * @param {number} x
 * @param {number} y of the line that the letters stand on
 * @param {string} content
 * @param {'middle' | 'end'} [anchor] what of it lies at x; its start by default
 * @returns {Shape}
 */
export function textShape(name, x, y, content, anchor) {
  return {
    tag: 'text',
    attributes: {
      ...(name === '' ? {} : { class: name }),
      ...(anchor === undefined ? {} : { 'text-anchor': anchor }),
      ...{ x: pixel(x), y: pixel(y) },
    },
    text: content,
  };
}

/**
 * A straight line.
 * @param {string} name class
 * @param {readonly [x: number, y: number]} from
 * @param {readonly [x: number, y: number]} to
 * @returns {Shape}
 */
export function lineShape(name, [x1, y1], [x2, y2]) {
  return { tag: 'line', attributes: { class: name, x1: pixel(x1), x2: pixel(x2), y1: pixel(y1), y2: pixel(y2) } };
}

/**
 * Writes a shape as SVG text.
 * @param {Shape} shape
 * @returns {string}
 */
export function svgText({ tag, attributes, text, children }) {
  const written = Object.entries(attributes).map(([name, value]) => ` ${name}="${escapeXml(String(value))}"`);
  const start = `<${tag}${written.join('')}`;
  if (text !== undefined) return `${start}>${escapeXml(text)}</${tag}>`;
  return children ? `${start}>\n${children.map(svgText).join('\n')}\n</${tag}>` : `${start}/>`;
}

/**
 * Escapes a text. XML has no place for control characters and halves of surrogate pairs, even escaped.
 * @param {string} content
 * @returns {string}
 */
export function escapeXml(content) {
  return content
    .replace(/[\p{Cc}\p{Surrogate}\ufffe\uffff]/gu, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** Pixels of a letter by those of the font's size, with room: which font is used is known to the viewer alone. */
const letterWidth = 0.58;

/**
 * An upper estimate in pixels.
 * @param {string} content
 * @param {number} fontSize pixels
 * @returns {number}
 */
export function textWidth(content, fontSize) {
  return content.length * fontSize * letterWidth;
}

/**
 * Ends a text with … where it is wider than so many pixels.
 * @param {string} content
 * @param {number} width pixels
 * @param {number} fontSize pixels
 * @returns {string}
 */
export function shorten(content, width, fontSize) {
  const characters = [...content];
  const most = Math.floor(width / (fontSize * letterWidth));
  return characters.length <= most ? content : `${characters.slice(0, most - 1).join('')}…`;
}
