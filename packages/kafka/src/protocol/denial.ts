import type { ErrorDetails } from '@oncebox/core'
import type { AclResourceType, Api } from './api.js'
import { describeCode, errorCode } from './error-codes.js'

/** The names of what a request is about. */
type ResourceNames = Readonly<Partial<Record<AclResourceType, string>>>

/** A request that an authorizer refused: what to say, and the ACL that is missing, as an error takes them. */
export interface Denial {
  readonly message: string
  /** Among others `code`, `operation`, `resourceType` and `resourceName`. */
  readonly details: ErrorDetails
}

const resourceTypes: ReadonlyMap<number, AclResourceType> = new Map([
  [errorCode.TOPIC_AUTHORIZATION_FAILED, 'topic'],
  [errorCode.GROUP_AUTHORIZATION_FAILED, 'group'],
  [errorCode.CLUSTER_AUTHORIZATION_FAILED, 'cluster'],
  [errorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 'transactional-id'],
])

// Whoever misses Describe misses the others as a rule: naming only Describe would be half of the advice.
const implied = ' (Read and Write include it)'

/**
 * What is missing when a broker answers with this code, or undefined when the code is another matter. A broker says only
 * of which type the resource is; which operation it wanted, the request knows.
 */
export function denialOf(
  doing: string,
  { name, needs }: Pick<Api<never, unknown>, 'name' | 'needs'>,
  code: number,
  names: ResourceNames,
  details: ErrorDetails = {},
): Denial | undefined {
  const resourceType = resourceTypes.get(code)
  if (resourceType === undefined) return undefined
  // The cluster has one name; a broker that misses what no request of this kind needs is believed all the same.
  const resourceName = names[resourceType] ?? (resourceType === 'cluster' ? 'kafka-cluster' : 'unknown')
  const operation = needs[resourceType] ?? 'Describe'
  const acl = `${operation}${operation === 'Describe' ? implied : ''} on ${resourceType} ${resourceName}`
  return {
    message: `${doing}: ${name} is refused with ${describeCode(code)}: this principal lacks the ACL ${acl}`,
    details: { ...details, code, operation, resourceType, resourceName },
  }
}
