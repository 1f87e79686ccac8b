import type { Reader } from '../wire/reader.js'
import type { Writer } from '../wire/writer.js'

/** What a principal may be allowed to do, and to what, in the words of `kafka-acls`. */
type AclOperation = 'Read' | 'Write' | 'Create' | 'Alter' | 'Describe' | 'DescribeConfigs'
export type AclResourceType = 'topic' | 'group' | 'transactional-id' | 'cluster'

/** By what a request names, the operation without which a broker refuses it. */
type NeededAcls = Readonly<Partial<Record<AclResourceType, AclOperation>>>

/**
 * One request kind of Kafka's protocol in the one version spoken here. All are flexible versions (KIP-482).
 * @see https://kafka.apache.org/protocol
 */
export interface Api<Request, Answer> {
  readonly name: string
  readonly key: number
  readonly version: number
  readonly needs: NeededAcls
  /** Header v1 ends with a tag section; only ApiVersions answers with header v0, so that any client can read it. */
  readonly answerHeader?: 'v0' | 'v1'
  encode(writer: Writer, request: Request): void
  decode(reader: Reader): Answer
}
