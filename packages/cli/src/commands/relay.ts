import { createRelay, type RelayOptions } from '@oncebox/relay'
import { defineCommand } from '../command.js'
import { exitCodes } from '../exit-code.js'
import { loadRelayOptions } from '../load-relay-options.js'

const help = `oncebox relay [--config FILE]

Publishes the outbox of a database to Kafka until SIGTERM or SIGINT; what is in hand is finished first.

  --config FILE   a module with: export default defineRelay({ ... }); environment variables win over it

  ONCEBOX_RELAY_NAME              names the relay in Kafka and in the database
  ONCEBOX_DATABASE_URL            the primary that holds the outbox
  ONCEBOX_KAFKA_BROKERS           host:port,host:port
  ONCEBOX_BATCH_EVENTS_MAX        events of one Kafka transaction (5000)
  ONCEBOX_POLL_IDLE_MS_MAX        longest wait while nothing is found (50)
  ONCEBOX_POLL_LISTEN             on: hear of commits by LISTEN, from services that NOTIFY (off)
  ONCEBOX_LEASE_MS                without a sign of life for so long, others take its shards over (3000)
  ONCEBOX_ROTATION_RETENTION_MS   how long events stay in the outbox after they were published (14400000)
  ONCEBOX_HTTP_HOST               /metrics, /readyz and /healthz: 127.0.0.1
  ONCEBOX_HTTP_PORT               9464; 0 takes a free port, off serves nothing
  ONCEBOX_LOG_LEVEL               info
`

const stopSignals = ['SIGTERM', 'SIGINT'] as const

/** `oncebox relay`: the daemon. */
export const relay = defineCommand({
  name: 'relay',
  synopsis: 'relay [--config FILE]',
  summary: 'publish the outbox to Kafka until it is stopped',
  help,
  options: { config: { type: 'string' } },
  async run(values) {
    return await runRelay(await loadRelayOptions(values.config, process.env))
  },
})

async function runRelay(options: RelayOptions): Promise<number> {
  const service = createRelay(options)
  const starting = new AbortController()
  const stop = (): void => {
    starting.abort(new Error('stopped by a signal'))
    void service.stop().catch(() => undefined)
  }
  for (const signal of stopSignals) process.once(signal, stop)
  try {
    await service.start({ signal: starting.signal })
    await service.stopped
    return exitCodes.done
  } catch (error) {
    if (starting.signal.aborted) return exitCodes.done
    throw error
  } finally {
    for (const signal of stopSignals) process.removeListener(signal, stop)
    await service.stop()
  }
}
