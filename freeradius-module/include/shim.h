/*
 *  The whole seam between the module and the server.
 *
 *  radiusd.h is never included: Debian's set of headers is incomplete without it, and REQUEST and RADIUS_PACKET changed
 *  within 3.2. Both stay opaque. What is declared here and not in an installed header is the same in 3.2.0 to 3.2.10.
 */
#ifndef RLM_RUST_SHIM_H
#define RLM_RUST_SHIM_H

#include <freeradius/libradius.h>

typedef struct rad_request REQUEST;
typedef struct vp_tmpl_t vp_tmpl_t;
typedef enum rlm_rcodes {
	RLM_MODULE_REJECT = 0,
	RLM_MODULE_FAIL,
	RLM_MODULE_OK,
	RLM_MODULE_HANDLED,
	RLM_MODULE_INVALID,
	RLM_MODULE_USERLOCK,
	RLM_MODULE_NOTFOUND,
	RLM_MODULE_NOOP,
	RLM_MODULE_UPDATED
} rlm_rcode_t;

#include <freeradius/conf.h>
#include <freeradius/conffile.h>
#include <freeradius/modules.h>

/*
 *  Exported by libfreeradius-server, declared in headers that are not always installed.
 */
typedef enum pair_lists {
	PAIR_LIST_UNKNOWN = 0,
	PAIR_LIST_REQUEST,
	PAIR_LIST_REPLY,
	PAIR_LIST_CONTROL,
	PAIR_LIST_STATE
} pair_lists_t;

typedef enum request_refs {
	REQUEST_UNKNOWN = 0,
	REQUEST_OUTER
} request_refs_t;

typedef enum log_type {
	L_AUTH = 2,
	L_INFO = 3,
	L_ERR = 4,
	L_WARN = 5,
	L_DBG = 16,
	L_DBG_WARN = 17,
	L_DBG_ERR = 18
} log_type_t;

typedef enum log_lvl {
	L_DBG_LVL_OFF = 0,
	L_DBG_LVL_1,
	L_DBG_LVL_2,
	L_DBG_LVL_3
} log_lvl_t;

typedef struct xlat_exp xlat_exp_t;
typedef size_t (*xlat_escape_t)(REQUEST *, char *out, size_t outlen, char const *in, void *arg);

VALUE_PAIR	**radius_list(REQUEST *request, pair_lists_t list);
TALLOC_CTX	*radius_list_ctx(REQUEST *request, pair_lists_t list);
int		radius_request(REQUEST **request, request_refs_t name);
ssize_t		radius_xlat_struct(char *out, size_t outlen, REQUEST *request, xlat_exp_t const *xlat,
				   xlat_escape_t escape, void *ctx);
ssize_t		xlat_tokenize(TALLOC_CTX *ctx, char *fmt, xlat_exp_t **head, char const **error);
int		radius_xlat_do(REQUEST *request, VALUE_PAIR *vp);
int		paircompare(REQUEST *request, VALUE_PAIR *req_list, VALUE_PAIR *check, VALUE_PAIR **rep_list);
void		radius_pairmove(REQUEST *request, VALUE_PAIR **to, VALUE_PAIR *from, bool do_xlat);
bool		debug_enabled(log_type_t type, log_lvl_t lvl);
bool		radlog_debug_enabled(log_type_t type, log_lvl_t lvl, REQUEST *request);

/*
 *  The magic number as a constant: its macro holds a cast, which bindgen cannot evaluate.
 */
enum {
	RLM_RUST_MAGIC = RLM_MODULE_INIT
};

/** An attribute found in a list
 *
 * Points into the list: valid until the pair is removed.
 */
typedef struct rlm_rust_value {
	uint8_t const	*ptr;		//!< NULL where the list has no such attribute.
	size_t		len;
	uint32_t	integer;	//!< Of integers and dates, in host order.
} rlm_rust_value_t;

/** An attribute to put into a list
 */
typedef struct rlm_rust_item {
	DICT_ATTR const	*da;
	uint8_t const	*ptr;
	size_t		len;		//!< 4 for integers (host order) and IPv4, 16 for IPv6, 18 for an IPv6 prefix.
	int8_t		tag;
	bool		keep;		//!< Leave an existing one alone, instead of replacing all of them.
	bool		keyed;		//!< "key=value": replace those of the same key only.
} rlm_rust_item_t;

/*
 *  Pairs
 */
void		rlm_rust_pairs_find(REQUEST *request, pair_lists_t list, DICT_ATTR const *const wanted[], size_t count,
				    rlm_rust_value_t found[]);
bool		rlm_rust_pairs_find_nth(REQUEST *request, pair_lists_t list, DICT_ATTR const *wanted, size_t n,
					rlm_rust_value_t *found);
bool		rlm_rust_pairs_put(REQUEST *request, pair_lists_t list, rlm_rust_item_t const items[], size_t count);
void		rlm_rust_pairs_drop(REQUEST *request, pair_lists_t list, DICT_ATTR const *da);
bool		rlm_rust_pairs_append_row(TALLOC_CTX *ctx, VALUE_PAIR **list, char const *attribute, char const *op,
					  char const *value);
char const	*rlm_rust_pairs_expand(REQUEST *request, VALUE_PAIR *list);
uint32_t	rlm_rust_pairs_integer(VALUE_PAIR *list, DICT_ATTR const *da, uint32_t otherwise);
bool		rlm_rust_reply_fits(REQUEST *request, size_t room);

/*
 *  Expansions
 */
xlat_exp_t	*rlm_rust_xlat_compile(TALLOC_CTX *ctx, char const *format);

/*
 *  Log
 */
void		rlm_rust_log(log_type_t type, char const *text);
void		rlm_rust_log_request(log_type_t type, log_lvl_t lvl, REQUEST *request, char const *text);
void		rlm_rust_log_failure(log_type_t type, log_lvl_t lvl, REQUEST *request, char const *text);

/*
 *  Configuration and dictionary
 */
bool		rlm_rust_check_config(void);
void		rlm_rust_conf_err_pair(CONF_PAIR const *cp, char const *text);
void		rlm_rust_conf_err_section(CONF_SECTION const *cs, char const *text);
bool		rlm_rust_dict_add_string(char const *name);
DICT_ATTR const	*rlm_rust_dict_find(char const *name);
char const	*rlm_rust_dict_name(DICT_ATTR const *da);
PW_TYPE		rlm_rust_dict_type(DICT_ATTR const *da);
size_t		rlm_rust_dict_room(DICT_ATTR const *da);
bool		rlm_rust_dict_has_tag(DICT_ATTR const *da);
char const	*rlm_rust_dict_word(DICT_ATTR const *da, uint32_t value);
bool		rlm_rust_dict_value(DICT_ATTR const *da, char const *word, uint32_t *value);

#endif
