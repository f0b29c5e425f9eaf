"""The part of a script that is the same for every runbook, by the API that it asks."""

from runbook_factory.loadtest.options import Api

IMPORTS = """\
import http from 'k6/http';
import exec from 'k6/execution';
import { check, sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
"""

# There is no handleSummary(): k6 then prints its own summary, and writes the same as JSON to where
# --summary-export says.
_METRICS = """\
// How executions ended; besides, those that had not when waiting for them did, those that the
// service refused, and those that it gave no answer about.
const ended = {};
for (const status of ['success', 'failure', 'aborted', 'unfinished', 'refused', 'unanswered']) {
  ended[status] = new Counter(`executions_${status}`);
}
const duration = new Trend('execution_duration', true); // by the execution's own record
const kpis = {};
for (const name of Object.keys(KPIS)) {
  kpis[name] = new Trend(KPIS[name]);
}
"""

_SETUP = """\
// Nothing is asked of a service that cannot do it.
export function setup() {
  if (!__ENV.RB_TOKEN) {
    exec.test.abort('RB_TOKEN is not set: rb token create NAME --role operator makes a token');
  }
  for (const name of Object.keys(FROM_ENVIRONMENT)) {
    if (FROM_ENVIRONMENT[name] && !__ENV[name]) {
      exec.test.abort(`${name} is not set: it is a sensitive input, which is not in this file`);
    }
  }
  const response = http.get(`${SERVER}/api/runbooks/${RUNBOOK}`, request('setup'));
  if (response.status !== 200) {
    exec.test.abort(`${SERVER} ${reason(response)}`);
  }
}
"""

_SHARED = """\
function request(name) {
  return {
    headers: { Authorization: `Bearer ${__ENV.RB_TOKEN}`, 'Content-Type': 'application/json' },
    redirects: 0, // a redirect would carry the token elsewhere
    timeout: `${WAIT_SECONDS + 10}s`,
    tags: { name },
  };
}

// The inputs, in turn, with those that are not in this file.
function nextInputs() {
  const inputs = { ...INPUTS[exec.scenario.iterationInTest % INPUTS.length] };
  for (const name of Object.keys(FROM_ENVIRONMENT)) {
    if (__ENV[name]) {
      inputs[name] = __ENV[name];
    }
  }
  return inputs;
}

function body(response) {
  try {
    return JSON.parse(response.body) || {};
  } catch (error) {
    return {};
  }
}

function reason(response) {
  if (response.status === 0) {
    return `cannot be reached: ${response.error}`;
  }
  const told = body(response);
  const said = told.error || (told.errors || [])[0] || {};
  return `answered ${response.status}: ${said.message || 'is it a runbook service?'}`;
}

// What a request that started no execution stands for.
function notStarted(response) {
  if (response.status >= 400 && response.status < 500) {
    exec.test.abort(`${SERVER} ${reason(response)}`); // no load explains this
  }
  if (response.status !== 0) {
    console.warn(reason(response)); // of the others k6 itself says why
  }
  sleep(1); // so that a service that is away or refuses is not asked as fast as that goes
  return { status: response.status === 0 ? 'unanswered' : 'refused' };
}

function note(execution) {
  ended[execution.status in ended ? execution.status : 'unfinished'].add(1);
  if (typeof execution.seconds === 'number') {
    duration.add(execution.seconds * 1000);
  }
  for (const kpi of execution.kpis || []) {
    if (kpi.name in kpis && typeof kpi.value === 'number') {
      kpis[kpi.name].add(kpi.value);
    }
  }
}
"""

_REST = """\
export default function () {
  const asked = { runbook_id: RUNBOOK, inputs: nextInputs(), wait_seconds: WAIT_SECONDS };
  const response = http.post(`${SERVER}/api/runbooks/execute`, JSON.stringify(asked), request('execute'));
  const execution = executionOf(response);
  check(response, {
    'status is 200': (r) => r.status === 200,
    'execution succeeded': () => execution.status === 'success',
  });
  note(execution);
}

function executionOf(response) {
  if (response.status !== 200 && response.status !== 202) {
    return notStarted(response);
  }
  const found = body(response);
  return { status: found.status, seconds: found.duration_seconds, kpis: found.kpis };
}
"""

_GRAPHQL = """\
const EXECUTE = `mutation Execute($id: ID!, $inputs: JSON) {
  executeRunbook(id: $id, inputs: $inputs) { id status }
}`;
const LOOK = `query Look($id: ID!) {
  runbookExecution(id: $id) { status durationSeconds kpis }
}`;
const LOOK_SECONDS = 0.1; // between two looks at an execution

export default function () {
  const response = ask('execute', EXECUTE, { id: RUNBOOK, inputs: nextInputs() });
  const execution = executionOf(response);
  check(response, {
    'status is 200': (r) => r.status === 200,
    'execution succeeded': () => execution.status === 'success',
  });
  note(execution);
}

function ask(name, query, variables) {
  return http.post(`${SERVER}/graphql`, JSON.stringify({ query, variables }), request(name));
}

function executionOf(response) {
  const told = body(response);
  const started = (told.data || {}).executeRunbook;
  if (response.status !== 200 || told.errors || !started) {
    return notStarted(response);
  }
  const until = Date.now() + WAIT_SECONDS * 1000;
  let found = started;
  while (found.status === 'RUNNING' && Date.now() < until) {
    sleep(LOOK_SECONDS);
    const look = ask('look', LOOK, { id: started.id });
    found = (body(look).data || {}).runbookExecution || found;
  }
  const status = found.status === 'RUNNING' ? 'unfinished' : found.status.toLowerCase();
  return { status, seconds: found.durationSeconds, kpis: found.kpis };
}
"""


def program(api: Api) -> str:
    """All that comes after what `IMPORTS` brings and the constants of the runbook."""
    asking = _REST if api is Api.REST else _GRAPHQL
    return "\n".join((_METRICS, _SETUP, asking, _SHARED))
