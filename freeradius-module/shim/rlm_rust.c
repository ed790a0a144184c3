/*
 *  What only C can do well against the server's headers: unions (pairs.c, reply.c), bit fields and variadic functions.
 *  Everything else is Rust.
 */
#include <shim.h>

int	radlog(log_type_t lvl, char const *fmt, ...) CC_HINT(format (printf, 2, 3));
void	radlog_request(log_type_t type, log_lvl_t lvl, REQUEST *request, char const *msg, ...)
	CC_HINT(format (printf, 4, 5));
void	radlog_request_error(log_type_t type, log_lvl_t lvl, REQUEST *request, char const *msg, ...)
	CC_HINT(format (printf, 4, 5));

_Static_assert(MOD_COUNT == 10, "the table of methods in module_t has another length");
_Static_assert(sizeof(RLM_RUST_MAGIC) == sizeof(uint64_t), "the magic number was cut off");

/** Compile an expansion once, to be run without parsing it again
 *
 * @return NULL with the reason in fr_strerror().
 */
xlat_exp_t *rlm_rust_xlat_compile(TALLOC_CTX *ctx, char const *format)
{
	char		*copy = talloc_strdup(ctx, format);	/* The result keeps pointing into it. */
	char const	*error = "out of memory";
	xlat_exp_t	*compiled = NULL;

	if (!copy || (xlat_tokenize(ctx, copy, &compiled, &error) <= 0)) {
		fr_strerror_printf("%s", error ? error : "empty");
		return NULL;
	}
	return compiled;
}

void rlm_rust_log(log_type_t type, char const *text)
{
	radlog(type, "%s", text);
}

void rlm_rust_log_request(log_type_t type, log_lvl_t lvl, REQUEST *request, char const *text)
{
	radlog_request(type, lvl, request, "%s", text);
}

void rlm_rust_log_failure(log_type_t type, log_lvl_t lvl, REQUEST *request, char const *text)
{
	radlog_request_error(type, lvl, request, "%s", text);
}

bool rlm_rust_check_config(void)
{
	return check_config;
}

void rlm_rust_conf_err_pair(CONF_PAIR const *cp, char const *text)
{
	cf_log_err_cp(cp, "%s", text);
}

void rlm_rust_conf_err_section(CONF_SECTION const *cs, char const *text)
{
	cf_log_err_cs(cs, "%s", text);
}

/** Make sure the dictionary has an internal string attribute of this name
 */
bool rlm_rust_dict_add_string(char const *name)
{
	ATTR_FLAGS	flags;
	DICT_ATTR const	*da;

	memset(&flags, 0, sizeof(flags));
	if (dict_addattr(name, -1, 0, PW_TYPE_STRING, flags) < 0) return false;

	da = dict_attrbyname(name);
	if (da && (da->type == PW_TYPE_STRING)) return true;

	fr_strerror_printf("the dictionary has %s already, and not as a string", name);
	return false;
}

/** The attribute as pairs refer to it
 *
 * Several names may stand for one number; pairs have the entry that the number leads to.
 */
DICT_ATTR const *rlm_rust_dict_find(char const *name)
{
	DICT_ATTR const *named = dict_attrbyname(name);
	DICT_ATTR const *numbered;

	if (!named) return NULL;
	numbered = dict_attrbyvalue(named->attr, named->vendor);
	return numbered ? numbered : named;
}

char const *rlm_rust_dict_name(DICT_ATTR const *da)
{
	return da->name;
}

PW_TYPE rlm_rust_dict_type(DICT_ATTR const *da)
{
	return da->type;
}

/** How many bytes of a value one attribute of a packet has room for
 *
 * @return 0 for an attribute that goes into no packet.
 */
size_t rlm_rust_dict_room(DICT_ATTR const *da)
{
	size_t			room = 253;	/* RFC 2865 section 5 */
	DICT_VENDOR const	*dv;

	if (da->vendor >= FR_MAX_VENDOR) {
		room -= 4;			/* RFC 6929 section 2.2: at most the extended type, flags and a vendor's type */
		if (da->flags.evs) room -= 4;
	} else if (da->vendor) {
		dv = dict_vendorbyvalue(da->vendor);
		room -= 4 + (dv ? dv->type + dv->length : 2) + (da->flags.wimax ? 1 : 0);
	} else if (da->attr > 255) {
		return 0;			/* The server's own */
	}
	if (da->flags.has_tag) room--;

	return room;
}

bool rlm_rust_dict_has_tag(DICT_ATTR const *da)
{
	return da->flags.has_tag;
}

/** The word for a value of an enumerated attribute, or NULL
 */
char const *rlm_rust_dict_word(DICT_ATTR const *da, uint32_t value)
{
	DICT_VALUE *entry = dict_valbyattr(da->attr, da->vendor, value);

	return entry ? entry->name : NULL;
}

bool rlm_rust_dict_value(DICT_ATTR const *da, char const *word, uint32_t *value)
{
	DICT_VALUE *entry = dict_valbyname(da->attr, da->vendor, word);

	if (!entry) return false;
	*value = entry->value;
	return true;
}
