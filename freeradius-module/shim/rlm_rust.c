/*
 *  What only C can do well against the server's headers: unions, bit fields and variadic functions.
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
_Static_assert(sizeof(((VALUE_PAIR *)NULL)->vp_ipv6prefix) == 18, "an IPv6 prefix has another form");

static void value_read(rlm_rust_value_t *value, VALUE_PAIR const *vp)
{
	value->len = vp->vp_length;

	switch (vp->da->type) {
	case PW_TYPE_STRING:
		value->ptr = (uint8_t const *)vp->vp_strvalue;
		break;

	case PW_TYPE_OCTETS:
		value->ptr = vp->vp_octets;
		break;

	case PW_TYPE_INTEGER:
	case PW_TYPE_DATE:
		value->integer = vp->vp_integer;
		value->ptr = (uint8_t const *)&vp->data;
		break;

	default:
		value->ptr = (uint8_t const *)&vp->data;
		break;
	}

	/* Present, but empty. */
	if (!value->ptr) {
		value->ptr = (uint8_t const *)"";
		value->len = 0;
	}
}

/** The first pair of each wanted attribute
 *
 * Names with several dictionary entries are matched by number.
 */
void rlm_rust_pairs_find(REQUEST *request, pair_lists_t list, DICT_ATTR const *const wanted[], size_t count,
			 rlm_rust_value_t found[])
{
	VALUE_PAIR	**head = radius_list(request, list);
	VALUE_PAIR	*vp;
	size_t		i;

	memset(found, 0, sizeof(*found) * count);
	if (!head) return;

	for (vp = *head; vp; vp = vp->next) {
		for (i = 0; i < count; i++) {
			if ((vp->da->attr != wanted[i]->attr) || (vp->da->vendor != wanted[i]->vendor)) continue;
			if (!found[i].ptr) value_read(&found[i], vp);
			break;
		}
	}
}

/** The nth pair of an attribute, from 0
 */
bool rlm_rust_pairs_find_nth(REQUEST *request, pair_lists_t list, DICT_ATTR const *wanted, size_t n,
			     rlm_rust_value_t *found)
{
	VALUE_PAIR	**head = radius_list(request, list);
	VALUE_PAIR	*vp;

	memset(found, 0, sizeof(*found));
	if (!head) return false;

	for (vp = *head; vp; vp = vp->next) {
		if ((vp->da->attr != wanted->attr) || (vp->da->vendor != wanted->vendor)) continue;
		if (n-- > 0) continue;
		value_read(found, vp);
		return true;
	}
	return false;
}

static bool value_write(VALUE_PAIR *vp, rlm_rust_item_t const *item)
{
	switch (vp->da->type) {
	case PW_TYPE_STRING:
		fr_pair_value_bstrncpy(vp, item->ptr, item->len);
		return true;

	case PW_TYPE_OCTETS:
		fr_pair_value_memcpy(vp, item->ptr, item->len);
		return true;

	case PW_TYPE_INTEGER:
	case PW_TYPE_IPV4_ADDR:
		if (item->len != sizeof(vp->vp_integer)) return false;
		break;

	case PW_TYPE_IPV6_ADDR:
		if (item->len != sizeof(vp->vp_ipv6addr)) return false;
		break;

	case PW_TYPE_IPV6_PREFIX:
		if (item->len != sizeof(vp->vp_ipv6prefix)) return false;
		break;

	default:
		return false;
	}

	memcpy(&vp->data, item->ptr, item->len);
	vp->vp_length = item->len;
	return true;
}

/** Delete what an item takes the place of
 */
static void make_way(VALUE_PAIR **head, rlm_rust_item_t const *item)
{
	uint8_t const	*equals = item->keyed ? memchr(item->ptr, '=', item->len) : NULL;
	size_t		key;
	VALUE_PAIR	**p = head;

	if (!equals) {
		fr_pair_delete_by_da(head, item->da);
		return;
	}

	key = (equals - item->ptr) + 1;
	while (*p) {
		VALUE_PAIR *vp = *p;

		if ((vp->da == item->da) && (vp->da->type == PW_TYPE_STRING) && (vp->vp_length >= key) &&
		    (memcmp(vp->vp_strvalue, item->ptr, key) == 0)) {
			*p = vp->next;
			vp->next = NULL;
			fr_pair_list_free(&vp);
			continue;
		}
		p = &vp->next;
	}
}

/** Take all pairs of an attribute out of a list
 */
void rlm_rust_pairs_drop(REQUEST *request, pair_lists_t list, DICT_ATTR const *da)
{
	VALUE_PAIR **head = radius_list(request, list);

	if (head && *head) fr_pair_delete_by_da(head, da);
}

/** Put typed attributes into a list
 *
 * Those already there under the same name go first, unless they are to be kept. All or nothing.
 */
bool rlm_rust_pairs_put(REQUEST *request, pair_lists_t list, rlm_rust_item_t const items[], size_t count)
{
	VALUE_PAIR	**head = radius_list(request, list);
	TALLOC_CTX	*ctx = radius_list_ctx(request, list);
	VALUE_PAIR	*first = NULL, **tail = &first;
	size_t		i;

	if (!head || !ctx) return false;

	for (i = 0; i < count; i++) {
		VALUE_PAIR *vp;

		if (items[i].keep && fr_pair_find_by_da(*head, items[i].da, TAG_ANY)) continue;

		vp = fr_pair_afrom_da(ctx, items[i].da);
		if (!vp) goto error;
		*tail = vp;
		tail = &vp->next;
		vp->op = T_OP_SET;
		vp->tag = items[i].tag;
		if (!value_write(vp, &items[i])) goto error;
	}

	if (*head) for (i = 0; i < count; i++) {
		if (!items[i].keep) make_way(head, &items[i]);
	}
	if (first) fr_pair_add(head, first);
	return true;

error:
	fr_pair_list_free(&first);
	return false;
}

/** Build the pair a row of radcheck or radreply stands for, with the meaning stock sql gives it
 *
 * A value that is quoted as a whole loses its quotes; one in back quotes is expanded when it is used.
 *
 * @return false with the reason in fr_strerror().
 */
bool rlm_rust_pairs_append_row(TALLOC_CTX *ctx, VALUE_PAIR **list, char const *attribute, char const *op,
			       char const *value)
{
	VALUE_PAIR	*vp;
	FR_TOKEN	token;
	char		word[64];
	char		unquoted[1024];
	char const	*p = op;
	size_t		len = strlen(value);
	bool		expand = false;
	bool		parsed;

	/* As stock sql has it. */
	token = *op ? gettoken(&p, word, sizeof(word), false) : T_OP_CMP_EQ;
	if (!fr_assignment_op[token] && !fr_equality_op[token]) {
		fr_strerror_printf("\"%s\" is not an operator", op);
		return false;
	}

	if ((len > 1) && strchr("'\"`", value[0]) && (value[0] == value[len - 1])) {
		p = value;
		switch (gettoken(&p, unquoted, sizeof(unquoted), false)) {
		case T_BACK_QUOTED_STRING:
			expand = true;
			/* FALL-THROUGH */

		case T_SINGLE_QUOTED_STRING:
		case T_DOUBLE_QUOTED_STRING:
			value = unquoted;
			break;

		default:
			break;
		}
	}

	vp = fr_pair_make(ctx, NULL, attribute, NULL, token);
	if (!vp) return false;

	if (expand) {
		parsed = (fr_pair_mark_xlat(vp, value) == 0);
	} else {
		parsed = (fr_pair_value_from_str(vp, value, -1) == 0);
	}
	if (!parsed) {
		fr_pair_list_free(&vp);
		return false;
	}

	fr_pair_add(list, vp);
	return true;
}

/** Make the values that are still to be expanded
 *
 * Merging would do it, and leave out what comes to no value of its attribute.
 *
 * @return the name of the first attribute that gets no value, or NULL.
 */
char const *rlm_rust_pairs_expand(REQUEST *request, VALUE_PAIR *list)
{
	VALUE_PAIR *vp;

	for (vp = list; vp; vp = vp->next) {
		if ((vp->type == VT_XLAT) && (radius_xlat_do(request, vp) < 0)) return vp->da->name;
	}
	return NULL;
}

/** The first value of an integer attribute, by the first pair of that number without a vendor
 */
uint32_t rlm_rust_pairs_integer(VALUE_PAIR *list, DICT_ATTR const *da, uint32_t otherwise)
{
	VALUE_PAIR *vp = fr_pair_find_by_num(list, da->attr, da->vendor, TAG_ANY);

	return vp ? vp->vp_integer : otherwise;
}

/** Whether the encoder sends the pair at all
 */
static bool on_wire(VALUE_PAIR const *vp)
{
	if (vp->vp_length == 0) return false;

	/* Always of the same length, computed when all else is in place: the caller leaves room for it. */
	if (!vp->da->vendor && (vp->da->attr == PW_MESSAGE_AUTHENTICATOR)) return false;

	return vp->da->vendor || ((vp->da->attr & 0xffff) < 256) || vp->da->flags.extended || vp->da->flags.long_extended;
}

static size_t round_up(size_t len)
{
	return (len + 15) & ~(size_t)15;
}

/** Whether a value is as long in the packet as it should be
 *
 * The encoder cuts one that is too long for its attribute. What a value of one byte takes tells what goes with it.
 */
static bool encodes_whole(RADIUS_PACKET const *packet, VALUE_PAIR const *vp, uint8_t *buffer, size_t size)
{
	VALUE_PAIR		*copy = fr_pair_copy(NULL, vp);
	VALUE_PAIR const	*next = copy;
	size_t			len = vp->vp_length;
	size_t			needed;
	int			whole, one;

	if (!copy) return false;
	whole = rad_vp2attr(packet, packet, "x", &next, buffer, size);

	copy->vp_length = 1;
	next = copy;
	one = rad_vp2attr(packet, packet, "x", &next, buffer, size);

	copy->vp_length = len;
	fr_pair_list_free(&copy);
	if ((whole <= 0) || (one <= 0)) return false;

	switch (vp->da->flags.encrypt) {
	case FLAG_ENCRYPT_NONE:
		needed = one - 1 + len;
		break;

	case FLAG_ENCRYPT_TUNNEL_PASSWORD:
		needed = one - 16 + round_up(len + 1);
		break;

	default:
		needed = one - 16 + round_up(len);
		break;
	}
	return (size_t)whole >= needed;
}

/** Whether the reply can be sent whole
 *
 * The encoder leaves out what the packet has no room for, and tells nobody.
 *
 * @param[in] room	for attributes.
 * @return false with the reason in fr_strerror().
 */
bool rlm_rust_reply_fits(REQUEST *request, size_t room)
{
	VALUE_PAIR		**head = radius_list(request, PAIR_LIST_REPLY);
	VALUE_PAIR const	*vp;
	RADIUS_PACKET		*packet;
	uint8_t			buffer[4096];
	size_t			bound = 0, total = 0;
	bool			plain = true, fits = false;

	if (!head) return true;

	/* No header of an attribute, with a tag, a salt and padding, takes more than 40 bytes. */
	for (vp = *head; vp; vp = vp->next) {
		if (!on_wire(vp)) continue;
		bound += vp->vp_length + 40;
		if (vp->vp_length > (vp->da->flags.encrypt == FLAG_ENCRYPT_ASCEND_SECRET ? 16 : 127)) plain = false;
	}
	if (plain && (bound <= room)) return true;

	packet = rad_alloc(NULL, false);
	if (!packet) {
		fr_strerror_printf("out of memory");
		return false;
	}

	vp = *head;
	while (vp) {
		VALUE_PAIR const	*this = vp;
		int			len;

		if (!on_wire(vp)) {
			vp = vp->next;
			continue;
		}
		if (((vp->da->type == PW_TYPE_STRING) || (vp->da->type == PW_TYPE_OCTETS)) &&
		    !encodes_whole(packet, vp, buffer, sizeof(buffer))) {
			fr_strerror_printf("the %zu bytes of %s are too many for it", vp->vp_length, vp->da->name);
			goto done;
		}

		/* Takes several at once of attributes that share a header. */
		len = rad_vp2attr(packet, packet, "x", &vp, buffer, sizeof(buffer));
		if ((len <= 0) || (vp == this)) {
			fr_strerror_printf("%s cannot be encoded", this->da->name);
			goto done;
		}
		total += len;
		if (total > room) {
			fr_strerror_printf("up to %s it takes %zu bytes, %zu more than a packet has room for", this->da->name,
					   total, total - room);
			goto done;
		}
	}
	fits = true;

done:
	rad_free(&packet);
	return fits;
}

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
