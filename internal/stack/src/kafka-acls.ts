/** ACLs of a test's broker, given and taken away through kafkajs's admin, as the super user. */
import kafkajs, { type AclEntry, type Admin } from 'kafkajs'
import { pollUntil } from './poll-until.js'

// Of a CommonJS module, whose enums Node cannot see by name.
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs

const operations = {
  Read: AclOperationTypes.READ,
  Write: AclOperationTypes.WRITE,
  Create: AclOperationTypes.CREATE,
  Describe: AclOperationTypes.DESCRIBE,
  DescribeConfigs: AclOperationTypes.DESCRIBE_CONFIGS,
  IdempotentWrite: AclOperationTypes.IDEMPOTENT_WRITE,
}

const resources = {
  topic: AclResourceTypes.TOPIC,
  group: AclResourceTypes.GROUP,
  cluster: AclResourceTypes.CLUSTER,
  'transactional-id': AclResourceTypes.TRANSACTIONAL_ID,
}

/** What a user may do, in the words of `kafka-acls`. */
export interface Acl {
  readonly user: string
  readonly operation: keyof typeof operations
  readonly resource: keyof typeof resources
  /** Of the resource; `kafka-cluster` of the cluster. */
  readonly name: string
  /** Whatever begins with `name`. */
  readonly prefixed?: boolean
}

const entryOf = ({ user, operation, resource, name, prefixed = false }: Acl): AclEntry => ({
  principal: `User:${user}`,
  host: '*',
  operation: operations[operation],
  permissionType: AclPermissionTypes.ALLOW,
  resourceType: resources[resource],
  resourceName: name,
  resourcePatternType: prefixed ? ResourcePatternTypes.PREFIXED : ResourcePatternTypes.LITERAL,
})

// The controller has the change before the broker applies it.
const untilListed = (admin: Admin, entry: AclEntry, listed: boolean): Promise<void> =>
  pollUntil(`the broker ${listed ? 'knows' : 'has forgotten'} the ACL on ${entry.resourceName}`, async () => {
    const found = await admin.describeAcls(entry)
    return found.resources.length > 0 === listed
  })

/** Resolves when the broker goes by them. */
export const grant = async (admin: Admin, acls: readonly Acl[]): Promise<void> => {
  const entries = acls.map(entryOf)
  await admin.createAcls({ acl: entries })
  for (const entry of entries) await untilListed(admin, entry, true)
}

/** Resolves when the broker goes without them. */
export const revoke = async (admin: Admin, acls: readonly Acl[]): Promise<void> => {
  const entries = acls.map(entryOf)
  await admin.deleteAcls({ filters: entries })
  for (const entry of entries) await untilListed(admin, entry, false)
}
