// @ts-check
/**
 * Small tools for the page's elements.
 *
 * @module
 */

/**
 * The element of the page with this id.
 * @template {HTMLElement} [E=HTMLElement]
 * @param {string} id
 * @returns {E}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page lacks #${id}`);
  return /** @type {E} */ (element);
}

/**
 * Makes an element. Properties that it has are set; `data-…` and `aria-…` become attributes; children are nodes or text.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-')) element.setAttribute(name, String(value));
    else Reflect.set(element, name, value);
  }
  element.append(...children);
  return element;
}

/**
 * A round sign with somebody's initial.
 * @param {string} name
 */
export function face(name) {
  return make('span', { className: 'face', 'aria-hidden': 'true' }, (name.match(/[\p{L}\p{N}]/u)?.[0] ?? '?').toUpperCase());
}

/** Keys and the letters on them. */
const KEYS = ['1', '2 ABC', '3 DEF', '4 GHI', '5 JKL', '6 MNO', '7 PQRS', '8 TUV', '9 WXYZ', '*', '0 +', '#'];

/**
 * Fills a keypad.
 * @param {HTMLElement} keypad
 * @param {(key: string) => void} pressed
 */
export function fillKeypad(keypad, pressed) {
  for (const [key, letters = ''] of KEYS.map((text) => text.split(' '))) {
    const label = { '*': 'star', '#': 'hash' }[key] ?? key;
    const button = make('button', { type: 'button', 'aria-label': label, 'data-key': key }, key, make('small', {}, letters));
    button.addEventListener('click', () => pressed(key));
    keypad.append(button);
  }
}
