/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one list of reasons: why a packet passed, was answered or was dropped.
 *
 * X(NAME, VERDICT, "label", "help")
 *
 * It feeds the enum, the verdict, the counters, the labels of `stats`, `events`
 * and the metrics, and the test that every reason is reached. Add new reasons at
 * the end of their group; the numbers are not stable across ABI versions.
 *
 * VERDICT is what the reason does while its service enforces: PASS, TX (answered
 * out of the same port) or DROP. In mode `monitor` TX and DROP pass and are
 * counted as "would".
 */
#ifndef SW_REASONS_H
#define SW_REASONS_H

/* clang-format off */
#define SW_REASONS(X) \
	/* Not for us: passes byte-identical, whatever the configuration. */ \
	X(PASS_NOT_IP, PASS, "pass_not_ip", "neither IPv4 nor IPv6") \
	X(PASS_NOT_TCP, PASS, "pass_not_tcp", "IP, but not TCP") \
	X(PASS_TUNNEL, PASS, "pass_tunnel", "tunnel or encapsulation, not inspected") \
	X(PASS_IPSEC, PASS, "pass_ipsec", "ESP or AH, the host's IPsec decides") \
	X(PASS_VLAN_DEPTH, PASS, "pass_vlan_depth", "more than two VLAN tags") \
	X(PASS_IP_MALFORMED, PASS, "pass_ip_malformed", "IP header for the host to judge: broken, or a jumbogram") \
	X(PASS_FRAGMENT, PASS, "pass_fragment", "data fragment, carries no handshake") \
	X(PASS_SPLIT_HEADER, PASS, "pass_split_header", "headers not in the first buffer") \
	X(PASS_NOT_GUARDED, PASS, "pass_not_guarded", "TCP to no configured service") \
	X(PASS_MODE_OFF, PASS, "pass_mode_off", "service in mode off") \
	X(PASS_DISARMED, PASS, "pass_disarmed", "guard not armed yet") \
	X(PASS_FOREIGN_MAC, PASS, "pass_foreign_mac", "frame addressed to another station") \
	/* To a guarded service, and the host's to decide. */ \
	X(PASS_KNOWN, PASS, "pass_known", "segment of a connection the host holds") \
	X(PASS_UNTRACKED, PASS, "pass_untracked", "connection the host holds, but the table is full") \
	X(PASS_CHALLENGE, PASS, "pass_challenge", "segment the host answers with an ACK or, if it has ended, a RST; on a budget") \
	X(PASS_RST, PASS, "pass_rst", "RST at the sequence number the host expects") \
	X(PASS_UNASKED, PASS, "pass_unasked", "budget of socket lookups spent, the host decides") \
	X(PASS_SYN_HELD, PASS, "pass_syn_held", "SYN for a tuple the host still holds") \
	X(PASS_NO_LISTENER, PASS, "pass_no_listener", "closed port, the host answers") \
	X(PASS_LISTENER, PASS, "pass_listener", "listener that cannot take a cookie (MPTCP, MD5, AO, tiny TCP_MAXSEG)") \
	X(PASS_SIGNED, PASS, "pass_signed", "SYN signed with MD5 or AO, on a budget") \
	X(PASS_COOKIES_OFF, PASS, "pass_cookies_off", "net.ipv4.tcp_syncookies forbids cookies") \
	X(PASS_CALM, PASS, "pass_calm", "SYN to a service in mode auto that is not under attack") \
	X(PASS_HOST_SYN, PASS, "pass_host_syn", "SYN within the service's host-syns budget") \
	X(PASS_TINY_MSS, PASS, "pass_tiny_mss", "MSS below the smallest a cookie can hold") \
	X(PASS_NO_TAILROOM, PASS, "pass_no_tailroom", "driver has no room to lengthen the reply") \
	X(PASS_COOKIE, PASS, "pass_cookie", "valid cookie, given to the host") \
	X(PASS_KEEPALIVE, PASS, "pass_keepalive", "valid cookie in a keepalive, given to the host") \
	X(PASS_HOST_COOKIE, PASS, "pass_host_cookie", "cookie of the host's own, given to the host") \
	X(PASS_COOKIE_USED, PASS, "pass_cookie_used", "cookie spent before, the host resets it") \
	/* Answered. */ \
	X(TX_SYNACK, TX, "tx_synack", "SYN answered with a cookie") \
	/* Dropped. */ \
	X(DROP_IP_CSUM, DROP, "drop_ip_csum", "wrong IPv4 header checksum") \
	X(DROP_TCP_CSUM, DROP, "drop_tcp_csum", "wrong TCP checksum on a SYN or cookie ACK") \
	X(DROP_TCP_MALFORMED, DROP, "drop_tcp_malformed", "TCP header shorter than 20 bytes or past the end") \
	X(DROP_FLAGS, DROP, "drop_flags", "TCP flags no stack sends") \
	X(DROP_ADDRESS, DROP, "drop_address", "source or destination address no wire carries") \
	X(DROP_PORT_ZERO, DROP, "drop_port_zero", "TCP source port 0") \
	X(DROP_SOURCE_ROUTE, DROP, "drop_source_route", "IPv4 source route option") \
	X(DROP_FRAGMENT, DROP, "drop_fragment", "fragment that cuts or hides a TCP header") \
	X(DROP_IPV6_CHAIN, DROP, "drop_ipv6_chain", "IPv6 extension chain too long or cut") \
	X(DROP_DENIED, DROP, "drop_denied", "new connection of a source on the deny list") \
	X(DROP_LIMIT_RATE, DROP, "drop_limit_rate", "new connections per second of a source over its limit") \
	X(DROP_LIMIT_CONNS, DROP, "drop_limit_conns", "connections of a source over its limit") \
	X(DROP_LIMIT_HALF_CLOSED, DROP, "drop_limit_half_closed", "half-closed connections of a source over its limit") \
	X(DROP_LIMIT_STALLED, DROP, "drop_limit_stalled", "connections without progress of a source over its limit") \
	X(DROP_BANNED, DROP, "drop_banned", "new connection of a source that is banned for a time") \
	X(DROP_SYNACK_CAP, DROP, "drop_synack_cap", "SYN-ACK cap of the source prefix reached") \
	X(DROP_SYNACK_TOTAL, DROP, "drop_synack_total", "SYN-ACK cap of all sources reached") \
	X(DROP_CLOSED_PORT, DROP, "drop_closed_port", "segment to a closed port beyond the budget") \
	X(DROP_COOKIE, DROP, "drop_cookie", "ACK without a valid cookie or connection") \
	X(DROP_EXPIRED, DROP, "drop_expired", "ACK with a cookie past its life") \
	X(DROP_RST, DROP, "drop_rst", "RST of no connection") \
	X(DROP_RST_WINDOW, DROP, "drop_rst_window", "RST outside the window of its connection") \
	X(DROP_RST_TIME_WAIT, DROP, "drop_rst_time_wait", "RST in TIME-WAIT (RFC 1337)") \
	X(DROP_SYNACK, DROP, "drop_synack", "SYN-ACK that answers no SYN of the host") \
	X(DROP_WINDOW, DROP, "drop_window", "segment beyond what its connection can take") \
	X(DROP_CHALLENGE, DROP, "drop_challenge", "connection's budget of challenge ACKs spent") \
	/* Impossible; anything but 0 here is a bug to report. */ \
	X(DROP_BUG, DROP, "drop_bug", "program reached a branch it must not reach") \
	/* tc ingress: the hand-over. */ \
	X(TC_HANDED_OVER, PASS, "tc_handed_over", "request socket made from the cookie") \
	X(TC_KNOWN, PASS, "tc_known", "the host owns a socket for the tuple already") \
	X(TC_NO_LISTENER, PASS, "tc_no_listener", "listener gone since the SYN, the host resets") \
	X(TC_REFUSED, PASS, "tc_refused", "the kernel refused the request socket") \
	X(TC_EARLY, DROP, "tc_early", "segment ahead of the ACK that opens its connection, client repeats it") \
	/* tc egress: what the host says of its connections. Never dropped. */ \
	X(OUT_SYN, PASS, "out_syn", "SYN of the host from a guarded port") \
	X(OUT_SYNACK, PASS, "out_synack", "SYN-ACK of the host, not the guard's") \
	X(OUT_FIN, PASS, "out_fin", "FIN of the host") \
	X(OUT_RST, PASS, "out_rst", "RST of the host for a connection in the table") \
	X(OUT_STRAY_RST, PASS, "out_stray_rst", "RST of the host for no connection: its cause passed") \
	X(OUT_ACK, PASS, "out_ack", "ACK of a FIN that came out of order")

/* clang-format on */

enum sw_reason {
	SW_CONTINUE = 0, /* not final: the next stage decides */
#define X(name, verdict, label, help) SW_##name,
	SW_REASONS(X)
#undef X
	SW_REASON_MAX,
};

#endif /* SW_REASONS_H */
