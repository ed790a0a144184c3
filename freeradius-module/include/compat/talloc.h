/*
 *  Stand-in for talloc's header, which libfreeradius-dev does not bring along. The library itself is in the server's
 *  process. Found last (-idirafter), so a real one wins.
 */
#ifndef RLM_RUST_COMPAT_TALLOC_H
#define RLM_RUST_COMPAT_TALLOC_H

typedef void TALLOC_CTX;

char *talloc_strdup(void const *ctx, char const *text);

#endif
