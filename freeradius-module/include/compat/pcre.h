/*
 *  Stand-in for PCRE's header, which the server's regex.h wants and libfreeradius-dev does not bring along. Only pointers
 *  to these two types are used. Found last (-idirafter), so a real one wins.
 */
typedef struct rlm_rust_no_pcre pcre;
typedef struct rlm_rust_no_pcre_extra pcre_extra;
