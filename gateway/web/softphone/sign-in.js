// @ts-check
/**
 * Who is at the screen: a demo user where the gateway offers some, else the owner of a token.
 *
 * @module
 */
import { byId, face, make } from './dom.js';

/** @typedef {{ user: string, name: string }} DemoUser */

/**
 * Gets a new token for a demo user.
 * @param {string} user
 * @returns {Promise<string>}
 */
export async function demoToken(user) {
  const response = await fetch(`/demo/token?user=${encodeURIComponent(user)}`, { method: 'POST' });
  if (!response.ok) throw new Error(`The gateway has no demo user “${user}” (${response.status}).`);
  return (await response.json()).token;
}

/** @returns {Promise<DemoUser[]>} none when the gateway has no demo */
async function demoUsers() {
  try {
    const response = await fetch('/demo/users');
    return response.ok ? await response.json() : [];
  } catch {
    return [];
  }
}

/**
 * Shows the ways to sign in.
 * @param {(token: string | (() => Promise<string>)) => void} signIn
 */
export async function offerSignIn(signIn) {
  const users = await demoUsers();
  const form = byId('token-form');
  form.hidden = users.length > 0;
  byId('demo-users').replaceChildren(
    ...users.map(({ user, name }) => {
      const chosen = () => signIn(() => demoToken(user));
      return make('button', { type: 'button', 'data-user': user, onclick: chosen }, face(name), `I am ${name}`);
    }),
  );
  form.onsubmit = (event) => {
    event.preventDefault();
    signIn(/** @type {HTMLTextAreaElement} */ (byId('token')).value.trim());
  };
}
