// Inside the transaction of the replayed effect.
export const finishDeadLetter = `
  update inbox.parked
     set state = 'replayed', finished_at = clock_timestamp()
   where number = $1::bigint`
