// Whether the event is still this holder's, in the transaction that makes it a dead letter.
export const holdParked = `
  select 1 as held from inbox.parked where number = $1::bigint and holder = $2::uuid for update`
