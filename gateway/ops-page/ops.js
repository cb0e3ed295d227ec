/**
 * The operators' page: asks the node every second what goes on (`/status.json`, `/metrics`, `/readyz`) and shows it.
 */
import { History, Metrics, quantile, since } from './figures.js';

/** @typedef {import('./figures.js').Buckets} Buckets */
/** @typedef {{ call: string, tenant: string, state: string, seconds: number }} LiveCall */
/** @typedef {{ budget: string, limit: number, used: number, refused: number }} Budget */
/** @typedef {{ version: string, percent: number }} WatchedRollOut */
/**
 * @typedef {{ tenant: string, calls: number, sessions: number, invocations: number, failures: number, budgets: Budget[],
 *   watched: WatchedRollOut[] }} TenantStanding
 */
/** @typedef {{ at: number, tenant: string, version: string, paused: boolean }} TakenBack */
/**
 * @typedef {{ node: string, sessions: number, calls: LiveCall[], tenants: TenantStanding[], 'tenants-more': number,
 *   'taken-back': TakenBack[] }} Status
 */

/** How often the node is asked, in milliseconds. */
const INTERVAL = 1000;
/** How long it may take to answer, in milliseconds. */
const PATIENCE = 4000;
/** Most calls in the table: more cannot be taken in at a glance. */
const CALLS_SHOWN_MAX = 50;
/** Budgets shown of a tenant: those that are the nearest to their limits. */
const BUDGETS_SHOWN_MAX = 3;
/** The plot's own units. */
const PLOT = { width: 600, height: 160 };

const FORWARDED = 'tandem_media_datagrams_forwarded_total';
const DISCARDED = 'tandem_media_datagrams_discarded_total';
const DECISIONS = 'tandem_calls_consultation_seconds';

/** What should stay at 0, by what it is called here. */
const TROUBLE = {
  'call records lost': 'tandem_calls_records_lost_total',
  'refused because a tenant was over its budget': 'tandem_budgets_refused_total',
  'tokens refused': 'tandem_calls_tokens_refused_total',
  'connections that became no links': 'tandem_media_handshakes_failed_total',
  'lines that were no messages': 'tandem_media_lines_undecodable_total',
  'commands that a shard could not take': 'tandem_media_commands_refused_total',
};

const history = new History();
const integer = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** @param {string} id */
function element(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/** Changes a text only if it differs, so that a selection lives on. @param {Element} place @param {string} text */
function write(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** @param {string} id @param {number | undefined} value */
function writeNumber(id, value) {
  write(element(id), value === undefined ? '–' : integer.format(value));
}

/** Words of the gateway, such as `no-answer`, as people write them. @param {string} word */
const spoken = (word) => word.replaceAll('-', ' ');

/** @param {number} seconds */
function clock(seconds) {
  const two = (/** @type {number} */ number) => String(number).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** A short time with two digits that count. @param {number} seconds */
function shortTime(seconds) {
  const [scaled, unit] = seconds < 1e-3 ? [seconds * 1e6, 'µs'] : seconds < 1 ? [seconds * 1e3, 'ms'] : [seconds, 's'];
  return `${scaled < 10 ? scaled.toFixed(1) : scaled.toFixed(0)} ${unit}`;
}

/**
 * Makes `parent` have one child for each item, in order, and fills each; a child whose key stays is kept.
 * @template Item
 * @param {Element} parent
 * @param {Item[]} items
 * @param {(item: Item) => string} key
 * @param {() => HTMLElement} make
 * @param {(child: HTMLElement, item: Item) => void} fill
 */
function list(parent, items, key, make, fill) {
  const known = new Map([...parent.children].map((child) => [/** @type {HTMLElement} */ (child).dataset.key, child]));
  items.forEach((item, index) => {
    const child = /** @type {HTMLElement} */ (known.get(key(item)) ?? make());
    child.dataset.key = key(item);
    fill(child, item);
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  while (parent.children.length > items.length) parent.lastElementChild?.remove();
}

/** @param {string} name @param {string} className */
function make(name, className) {
  const made = document.createElement(name);
  made.className = className;
  return made;
}

/**
 * Words and how often each was counted.
 * @param {string} id
 * @param {Map<string, number>} counts
 * @param {(word: string) => string} [aside] what else to say of a word
 */
function showCounts(id, counts, aside = () => '') {
  const row = () => {
    const item = document.createElement('li');
    const what = make('span', 'what');
    what.append(document.createElement('span'), ' ', document.createElement('small'));
    item.append(what, make('span', 'count'));
    return item;
  };
  list(element(id), [...counts], ([word]) => word, row, (item, [word, count]) => {
    const [what, number] = item.children;
    write(what.children[0], spoken(word));
    write(what.children[1], aside(word));
    write(number, integer.format(count));
  });
}

/** @param {LiveCall[]} calls */
function showCalls(calls) {
  const longestFirst = calls.toSorted((a, b) => b.seconds - a.seconds || (a.call < b.call ? -1 : 1));
  const row = () => {
    const made = document.createElement('tr');
    const id = document.createElement('td');
    id.append(document.createElement('code'));
    made.append(id, make('td', ''), make('td', 'state'), make('td', 'number'));
    return made;
  };
  list(element('calls'), longestFirst.slice(0, CALLS_SHOWN_MAX), ({ call }) => call, row, (made, { call, tenant, state, seconds }) => {
    const [id, whose, doing, time] = /** @type {HTMLElement[]} */ ([...made.children]);
    write(id.children[0], call);
    write(whose, tenant);
    write(doing, spoken(state));
    doing.dataset.state = state;
    write(time, clock(seconds));
  });
  const more = calls.length - CALLS_SHOWN_MAX;
  element('calls-more').hidden = calls.length > 0 && more <= 0;
  write(element('calls-more'), more > 0 ? `And ${integer.format(more)} shorter ones.` : 'No call is under way.');
}

/** How much of a budget is used, 0 to 1. @param {Budget} budget */
const share = ({ used, limit }) => (limit > 0 ? Math.min(1, used / limit) : used > 0 ? 1 : 0);

/** Bars of a tenant's fullest budgets, and of those that refused something. @param {Element} place @param {Budget[]} budgets */
function showBudgets(place, budgets) {
  const fullest = budgets.toSorted((a, b) => share(b) - share(a) || b.refused - a.refused).slice(0, BUDGETS_SHOWN_MAX);
  const row = () => {
    const made = make('div', 'budget');
    const meter = document.createElement('meter');
    Object.assign(meter, { min: 0, max: 1, low: 0.7, high: 0.9, optimum: 0 });
    made.append(make('span', ''), meter, make('small', ''));
    return made;
  };
  list(place, fullest, ({ budget }) => budget, row, (made, budget) => {
    const [name, meter, words] = [...made.children];
    const of = `${integer.format(budget.used)} of ${integer.format(budget.limit)}`;
    write(name, spoken(budget.budget));
    /** @type {HTMLMeterElement} */ (meter).value = share(budget);
    meter.setAttribute('aria-label', `${spoken(budget.budget)}: ${of}`);
    write(words, budget.refused > 0 ? `${of}, ${integer.format(budget.refused)} refused` : of);
  });
}

/** @param {Status} status */
function showTenants(status) {
  const row = () => {
    const made = document.createElement('tr');
    const name = document.createElement('th');
    name.scope = 'row';
    const numbers = ['calls', 'sessions', 'asked/s', 'failed/s'].map((label) => {
      const cell = make('td', 'number');
      cell.dataset.label = label;
      return cell;
    });
    made.append(name, ...numbers, make('td', 'budgets'));
    return made;
  };
  list(element('tenants'), status.tenants, ({ tenant }) => tenant, row, (made, standing) => {
    const [name, calls, sessions, invocations, failures, budgets] = [...made.children];
    write(name, standing.tenant);
    write(calls, integer.format(standing.calls));
    write(sessions, integer.format(standing.sessions));
    write(invocations, integer.format(standing.invocations));
    write(failures, integer.format(standing.failures));
    showBudgets(budgets, standing.budgets);
  });
  const more = status['tenants-more'];
  element('tenants-more').hidden = status.tenants.length > 0 && more === 0;
  write(element('tenants-more'), more > 0 ? `And ${integer.format(more)} less busy ones.` : 'No tenant is known yet.');
  const watched = status.tenants.flatMap(({ tenant, watched }) => watched.map((rollOut) => ({ tenant, ...rollOut })));
  showEvents('watched', watched, ({ percent }) => (percent < 100 ? `canary on ${percent} % of calls` : 'on all calls'));
  showEvents('taken-back', status['taken-back'], ({ at, paused }) => {
    return `${paused ? 'paused' : 'rolled back'} ${new Date(at).toLocaleTimeString()}`;
  });
}

/**
 * Versions, and what to say of each.
 * @template {{ tenant: string, version: string, at?: number }} Item
 * @param {string} id
 * @param {Item[]} items
 * @param {(item: Item) => string} say
 */
function showEvents(id, items, say) {
  const row = () => {
    const made = document.createElement('li');
    made.append(make('span', 'what'), make('small', ''));
    return made;
  };
  list(element(id), items, ({ tenant, version, at = 0 }) => `${tenant} ${version} ${at}`, row, (made, item) => {
    write(made.children[0], `${item.tenant} ${item.version}`);
    write(made.children[1], say(item));
  });
}

/** @param {Buckets} buckets @param {string} suffix of the places to write to */
function showDecisionTimes(buckets, suffix) {
  writeNumber(`decided${suffix}`, buckets.at(-1)?.count ?? 0);
  const largest = buckets.at(-2)?.bound ?? 0;
  for (const [id, q] of /** @type {const} */ ([['p50', 0.5], ['p99', 0.99]])) {
    const value = quantile(buckets, q);
    const text = value === undefined ? '–' : value === Infinity ? `> ${shortTime(largest)}` : shortTime(value);
    write(element(id + suffix), text);
  }
}

/** The next of 10, 20, 50, 100, … that is not below. @param {number} value */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(10, value)));
  return [1, 2, 5, 10].map((step) => step * power).find((bound) => bound >= value) ?? value;
}

/** Draws the packets a second of the last two minutes. @param {number} now */
function showPlot(now) {
  const forwarded = history.rates((metrics) => metrics.sum(FORWARDED));
  const discarded = history.rates((metrics) => metrics.sum(DISCARDED));
  const peak = Math.max(0, ...forwarded.map(({ rate }) => rate), ...discarded.map(({ rate }) => rate));
  const top = roundUp(peak);
  const x = (/** @type {number} */ at) => (PLOT.width * (1 - (now - at) / History.SPAN)).toFixed(1);
  // A line of 2 px at 0 or at the top stays whole.
  const y = (/** @type {number} */ rate) => (PLOT.height - 2 - ((PLOT.height - 4) * rate) / top).toFixed(1);
  const line = (/** @type {{ at: number, rate: number }[]} */ points) =>
    points.map(({ at, rate }, index) => `${index === 0 ? 'M' : 'L'}${x(at)} ${y(rate)}`).join('');
  const first = forwarded[0];
  element('plot-forwarded').setAttribute('d', line(forwarded));
  element('plot-discarded').setAttribute('d', line(discarded));
  element('plot-area').setAttribute('d', first ? `${line(forwarded)}V${PLOT.height}H${x(first.at)}Z` : '');
  write(element('plot-top'), integer.format(top));
  const [sent, lost] = [forwarded.at(-1)?.rate ?? 0, discarded.at(-1)?.rate ?? 0].map((rate) => integer.format(rate));
  const words = `Now ${sent} packets a second forwarded, ${lost} discarded; at most ${integer.format(peak)} in the last two minutes`;
  element('plot').setAttribute('aria-label', words);
}

/** @param {number} at @param {Status} status @param {Metrics} metrics */
function show(at, status, metrics) {
  document.title = `${status.calls.length} calls – ${status.node}`;
  write(element('node'), status.node);
  writeNumber('live', status.calls.length);
  writeNumber('sessions', status.sessions);
  writeNumber('links-open', metrics.sum('tandem_media_links'));
  writeNumber('started', metrics.sum('tandem_calls_started_total'));
  writeNumber('forwarded-rate', history.rate((reading) => reading.sum(FORWARDED)));
  writeNumber('discarded-rate', history.rate((reading) => reading.sum(DISCARDED)));
  showPlot(at);
  showCalls(status.calls);
  showTenants(status);
  showCounts('discarded', metrics.by(DISCARDED, 'reason'), (reason) => {
    const rate = history.rate((reading) => reading.by(DISCARDED, 'reason').get(reason) ?? 0) ?? 0;
    return rate > 0 ? `${rate < 10 ? rate.toFixed(1) : rate.toFixed(0)} a second` : '';
  });
  showCounts('ended', metrics.by('tandem_calls_ended_total', 'cause'));
  const decisions = metrics.buckets(DECISIONS);
  showDecisionTimes(decisions, '');
  // As far back as this page has looked.
  write(element('lately'), `last ${clock(Math.round((at - history.readings[0].at) / 1000))}`);
  showDecisionTimes(since(decisions, history.readings[0].metrics.buckets(DECISIONS)), '-lately');
  showCounts('answers', metrics.by('tandem_calls_consultations_total', 'answer'));
  showCounts('links', metrics.by('tandem_media_links', 'transport'));
  showCounts('links-closed', metrics.by('tandem_media_links_closed_total', 'reason'));
  showCounts('errors', metrics.by('tandem_calls_signalling_errors_total', 'code'));
  const trouble = Object.entries(TROUBLE).map(([what, name]) => /** @type {const} */ ([what, metrics.sum(name)]));
  showCounts('trouble', new Map(trouble.filter(([, count]) => count > 0)));
}

/** @param {string} state @param {string} [words] */
function showReadiness(state, words = state) {
  element('readiness').dataset.state = state;
  write(element('readiness'), words);
}

/** Says so once, and leaves what was known last. */
function showUnreachable() {
  const notice = element('notice');
  if (!notice.hidden) return;
  const known = history.readings.length > 0 ? ' Below is what it told last.' : '';
  write(notice, `This node cannot be reached since ${new Date().toLocaleTimeString()}; asking again every second.${known}`);
  notice.hidden = false;
  element('board').dataset.stale = '';
  showReadiness('unreachable');
  document.title = 'unreachable – Tandem node';
}

function showReachable() {
  element('notice').hidden = true;
  delete element('board').dataset.stale;
}

/** @param {string} path @param {AbortSignal} signal */
async function ask(path, signal) {
  const response = await fetch(path, { signal, cache: 'no-store' });
  // `/readyz` answers with 503 in words; whatever else is not well is no answer.
  if (!response.ok && path !== 'readyz') throw new Error(`${path}: ${response.status}`);
  return response.text();
}

async function refresh() {
  const signal = AbortSignal.timeout(PATIENCE);
  const [status, text, readiness] = await Promise.all(['status.json', 'metrics', 'readyz'].map((path) => ask(path, signal)));
  const [at, metrics] = [performance.now(), new Metrics(text)];
  history.add({ at, metrics });
  show(at, JSON.parse(status), metrics);
  showReadiness(/^\w+/.exec(readiness)?.[0] ?? 'unknown');
  showReachable();
}

async function follow() {
  const started = performance.now();
  await refresh().catch((error) => {
    console.warn(error);
    showUnreachable();
  });
  setTimeout(follow, Math.max(100, INTERVAL - (performance.now() - started)));
}

follow();
