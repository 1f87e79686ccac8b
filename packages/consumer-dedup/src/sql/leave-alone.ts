// The event was given up in good order (stop, revocation): whoever finds the row must not count a kill.
export const leaveAlone = `
  update inbox.attempts
     set running = false, at = clock_timestamp()
   where consumer = $1::text and source = $2::text and id = $3::uuid`
