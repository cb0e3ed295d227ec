/**
 * Speech quality of a recording against what was said.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { speechOf } from './browser.mjs';

const HERE = fileURLToPath(new URL('..', import.meta.url));

/** Lowest PESQ wide-band score that counts as being heard well. */
export const PESQ_MIN = 3.0;

/**
 * Scores what was heard.
 * @param {string} heard a WAV file
 * @param {string} talker whose speech it should be
 * @returns {Promise<{ pesq: number, worst: number, likeness: number, stretches: number, seconds: number }>} `pesq` is the median
 */
export async function score(heard, talker) {
  const run = promisify(execFile);
  const result = await run(`${HERE}.venv/bin/python`, [`${HERE}score.py`, speechOf(talker), heard]).catch((error) => error);
  const answer = result.stdout?.trim() ? JSON.parse(result.stdout) : { error: result.stderr || result.message };
  if (answer.error) throw new Error(`${heard}: ${answer.error}`);
  return answer;
}

/** What was heard scores less than {@link PESQ_MIN}. */
export class PoorSound extends Error {}

/** @param {unknown} error @returns {boolean} whether poor sound is why */
export function isPoorSound(error) {
  return error instanceof PoorSound || (error instanceof Error && isPoorSound(error.cause));
}

/** Scores what was heard and insists on {@link PESQ_MIN}. */
export async function insistOnQuality(heard, talker) {
  const figures = await score(heard, talker);
  if (figures.pesq < PESQ_MIN) {
    throw new PoorSound(`${heard}: PESQ ${figures.pesq} < ${PESQ_MIN}: ${JSON.stringify(figures)}`);
  }
  return figures;
}
