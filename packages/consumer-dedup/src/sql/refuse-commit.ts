// Fails the transaction: whoever commits it all the same is answered with ROLLBACK.
export const refuseCommit = `
  do $$ begin
    raise exception 'oncebox: the effect of an event failed, and its mark cannot be committed without it' using errcode = 'OBFAI';
  end $$`
