import type { KafkaVersion } from '@internal/stack'
import type { Verdict } from './verdict.js'

/** What one case said of one client on one broker. */
export interface Result {
  readonly kafka: KafkaVersion
  readonly client: string
  readonly case: string
  readonly verdict: Verdict
  readonly seconds: number
}
