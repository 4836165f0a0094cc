import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { issueCertificate } from '../src/client/new-certificate.js';
import { createSite } from '../src/client/new-site.js';
import * as operations from '../src/inventory/operations.js';
import { heading, say } from './report.js';
import { median } from './rounds.js';
import { SERVER, type Setting } from './setting.js';

/** Where one activity's time went, in milliseconds. */
interface Spent {
  label: string;
  /** From the end of the one before until this one was scheduled: the workflow's own turn. */
  decided: number;
  /** From then until a worker had it. */
  waited: number;
  /** In the activity: inventory, and host. */
  worked: number;
}

interface Event {
  eventTime: string;
  eventId: string;
  activityTaskScheduledEventAttributes?: { activityType: { name: string } };
  activityTaskStartedEventAttributes?: { scheduledEventId: string };
  activityTaskCompletedEventAttributes?: { scheduledEventId: string; startedEventId: string };
}

/** Where the time of one `site create` goes, and of its certificate, by the times in Temporal's histories; medians. */
export async function profileSiteCreate(setting: Setting, rounds: number): Promise<void> {
  const { chom, rig, host } = setting;
  const domain = (round: number) => `profile-${round}.bench.test`;
  heading(`Where one site create spends its time, in ms, median of ${rounds}`);
  await profile(setting, rounds, async (round) => {
    return await createSite(chom, { domain: domain(round), server: SERVER, tls: false });
  });
  heading(`Where its certificate spends its time, in ms, median of ${rounds}`);
  await profile(setting, rounds, async (round) => {
    await rig.lab.acme.setAddress(domain(round), { a: [host.address] });
    return await issueCertificate(chom, domain(round));
  });
}

/** A line for each step of what `ask` asks for, medians. */
export async function profile(
  { chom, succeeded }: Setting,
  rounds: number,
  ask: (round: number) => Promise<{ operation: string }>,
): Promise<void> {
  const runs: Spent[][] = [];
  const around: { asking: number; begun: number; seen: number; whole: number }[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const started = Date.now();
    const { operation } = await ask(round);
    const asked = Date.now();
    await succeeded(operation);
    const ended = Date.now();
    if (round === 0) continue;
    const temporal = await chom.temporal();
    const { endedAt } = await operations.byId(chom.inventory.db, operation);
    const history = await temporal.workflow.getHandle(operation).fetchHistory();
    const { events } = JSON.parse(historyToJSON(history)) as { events: Event[] };
    const spent = spentIn(events);
    runs.push(spent);
    const seen = ended - Date.parse(endedAt ?? '');
    around.push({ asking: asked - started, begun: spent[0]?.decided ?? 0, seen, whole: ended - started });
  }
  const of = (values: readonly number[]) => median(values).toFixed(0).padStart(6);
  say(`  ${'asked: checks, row, workflow started'.padEnd(40)}${of(around.map(({ asking }) => asking))}`);
  say(`  ${'step'.padEnd(40)}${['decide', 'wait', 'work'].map((name) => name.padStart(6)).join(' ')}`);
  for (const [place, { label }] of (runs[0] ?? []).entries()) {
    const same = runs.map((run) => run[place]).filter((one) => one !== undefined);
    const parts = (['decided', 'waited', 'worked'] as const).map((part) => of(same.map((one) => one[part])));
    say(`  ${label.padEnd(40)}${parts.join(' ')}`);
  }
  const sums = (['decided', 'waited', 'worked'] as const).map((part) =>
    of(runs.map((run) => run.reduce((sum, one) => sum + one[part], 0))),
  );
  say(`  ${'all steps'.padEnd(40)}${sums.join(' ')}`);
  say(`  ${'from its outcome until the client saw it'.padEnd(40)}${of(around.map(({ seen }) => seen))}`);
  say(`  ${'from the ask to the outcome'.padEnd(40)}${of(around.map(({ whole }) => whole))}`);
}

function spentIn(events: readonly Event[]): Spent[] {
  const at = (event: Event | undefined) => Date.parse(event?.eventTime ?? '');
  const byId = new Map(events.map((event) => [event.eventId, event]));
  const spent: Spent[] = [];
  let before = at(events[0]);
  for (const event of events) {
    const { scheduledEventId, startedEventId } = event.activityTaskCompletedEventAttributes ?? {};
    if (scheduledEventId === undefined || startedEventId === undefined) continue;
    const [scheduled, started] = [byId.get(scheduledEventId), byId.get(startedEventId)];
    const label = scheduled?.activityTaskScheduledEventAttributes?.activityType.name ?? '';
    const [first, second, last] = [at(scheduled), at(started), at(event)];
    spent.push({ label, decided: first - before, waited: second - first, worked: last - second });
    before = last;
  }
  return spent;
}
