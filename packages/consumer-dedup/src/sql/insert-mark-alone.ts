// The dedup mark of an event that comes by a way of the caller's own: there is no position whose life could have ended, so the
// token is the present one. `alive` 0: the server has crashed, and nobody has made a token since.
export const insertMarkAlone = `
  select alive, inserted
    from inbox.mark((select token from inbox.life), $1::text, $2::text, $3::uuid, $4::timestamptz)`
