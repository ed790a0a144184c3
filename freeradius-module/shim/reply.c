/*
 *  Whether a reply goes into a packet whole.
 */
#include <shim.h>

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
