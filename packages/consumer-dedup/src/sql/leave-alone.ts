// The event was given up in good order (stop, revocation): whoever finds the row must not count a kill. Only a start of
// this process: somebody else may have begun since, and died.
export const leaveAlone = `
  update inbox.attempts
     set running = false, at = clock_timestamp()
   where consumer = $1::text and source = $2::text and id = $3::uuid and alone_in = $4::uuid`
