/*
 *  Pairs in the server's lists: found, put there, taken out, and built from rows.
 */
#include <shim.h>

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
