import type { Reader } from '../wire/reader.js'
import type { Writer } from '../wire/writer.js'

/**
 * One request kind of Kafka's protocol in the one version spoken here. All are flexible versions (KIP-482).
 * @see https://kafka.apache.org/protocol
 */
export interface Api<Request, Answer> {
  readonly name: string
  readonly key: number
  readonly version: number
  /** Header v1 ends with a tag section; only ApiVersions answers with header v0, so that any client can read it. */
  readonly answerHeader?: 'v0' | 'v1'
  encode(writer: Writer, request: Request): void
  decode(reader: Reader): Answer
}
