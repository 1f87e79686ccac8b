/**
 * Names in Kafka are shared by everybody on the cluster: topics, groups, transactional ids. ORDER_FLOW_PREFIX keeps
 * two order flows on one cluster apart, e.g. two demos; without it the names are as written.
 */
export const named = (name: string): string => `${process.env['ORDER_FLOW_PREFIX'] ?? ''}${name}`
