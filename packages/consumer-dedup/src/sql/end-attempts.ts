// Inside the transaction that finishes the event: effect, or dead letter.
export const endAttempts = `
  delete from inbox.attempts where consumer = $1::text and source = $2::text and id = $3::uuid`
