/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the programs take from the kernel: UAPI headers for wire formats, and by CO-RE
 * only those fields of kernel structs that are read. No generated vmlinux.h.
 */
#ifndef SW_KERNEL_H
#define SW_KERNEL_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <stdbool.h>

#define TC_NEXT (-1) /* TCX_NEXT and TC_ACT_UNSPEC: the next program decides */
#define TC_DROP 2    /* TCX_DROP and TC_ACT_SHOT */

/* include/net/tcp_states.h */
enum sw_tcp_state {
	SW_TCP_ESTABLISHED = 1,
	SW_TCP_SYN_SENT,
	SW_TCP_SYN_RECV,
	SW_TCP_FIN_WAIT1,
	SW_TCP_FIN_WAIT2,
	SW_TCP_TIME_WAIT,
	SW_TCP_CLOSE,
	SW_TCP_CLOSE_WAIT,
	SW_TCP_LAST_ACK,
	SW_TCP_LISTEN,
	SW_TCP_CLOSING,
	SW_TCP_NEW_SYN_RECV,
};

#define SOCK_RCVBUF_LOCK 2 /* include/net/sock.h */

#define READ_ONCE(x)     (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))

/* libbpf 1.3 has it; a weak kfunc that the kernel lacks relocates to 0. */
#ifndef bpf_ksym_exists
#define bpf_ksym_exists(sym) (!!(sym))
#endif

#define SW_CORE __attribute__((preserve_access_index))
#define UNUSED  __attribute__((unused))

struct netns_ipv4 {
	int sysctl_tcp_rmem[3];
	__u8 sysctl_ip_default_ttl;
	__u8 sysctl_tcp_syncookies;
	__u8 sysctl_tcp_window_scaling;
	__u8 sysctl_tcp_sack;
	__u8 sysctl_tcp_timestamps;
	__u8 sysctl_tcp_ecn;
} SW_CORE;

struct net {
	struct netns_ipv4 ipv4;
} SW_CORE;

typedef struct {
	struct net *net;
} SW_CORE possible_net_t;

struct in6_addr___sw {
	union {
		__be32 u6_addr32[4];
	} in6_u;
} SW_CORE;

struct sock_common {
	__u32 skc_rcv_wnd;    /* of a request socket */
	__u32 skc_tw_rcv_nxt; /* of a TIME-WAIT one */
	__u32 skc_tw_snd_nxt;
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr___sw skc_v6_daddr;
	struct in6_addr___sw skc_v6_rcv_saddr;
} SW_CORE;

struct sock {
	struct sock_common __sk_common;
	int sk_rcvbuf;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	__u8 sk_userlocks : 4;
} SW_CORE;

struct ipv6_pinfo {
	__s16 hop_limit : 9; /* plain since Linux 6.7 */
} SW_CORE;

struct inet_sock {
	struct sock sk;
	struct ipv6_pinfo *pinet6;
	__s16 uc_ttl;
} SW_CORE;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	__u8 icsk_backoff;
} SW_CORE;

struct tcp_options_received {
	__u16 user_mss;
} SW_CORE;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	struct tcp_options_received rx_opt;
	__u32 rcv_nxt;
	__u32 rcv_wup;
	__u32 rcv_wnd;
	__u32 snd_una;
	__u32 max_window;
	__u64 bytes_acked;
	__u32 write_seq;
	__u32 window_clamp;
	__u8 scaling_ratio;
	bool is_mptcp;
	void *md5sig_info;
	void *ao_info;
} SW_CORE;

struct inet_timewait_sock {
	struct sock_common __tw_common;
	unsigned char tw_substate;
} SW_CORE;

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
	__u32 tw_rcv_wnd;
	__u32 tw_ts_recent;
	int tw_ts_recent_stamp;
} SW_CORE;

struct request_sock {
	struct sock_common __req_common;
} SW_CORE;

struct inet_request_sock {
	struct request_sock req;
} SW_CORE;

struct tcp_request_sock {
	struct inet_request_sock req;
	__u32 snt_isn;
	__u32 rcv_nxt;
} SW_CORE;

struct bpf_iter_meta {
	struct seq_file *seq;
} SW_CORE;

struct bpf_iter__tcp {
	union {
		struct bpf_iter_meta *meta;
	};
	union {
		struct sock_common *sk_common;
	};
} SW_CORE;

/* Linux 6.9; fields and order as the kernel's BTF has them. */
struct bpf_tcp_req_attrs {
	__u32 rcv_tsval;
	__u32 rcv_tsecr;
	__u16 mss;
	__u8 rcv_wscale;
	__u8 snd_wscale;
	__u8 ecn_ok;
	__u8 wscale_ok;
	__u8 sack_ok;
	__u8 tstamp_ok;
	__u8 usec_ts_ok;
	__u8 reserved[3];
};

extern int bpf_sk_assign_tcp_reqsk(struct __sk_buff *skb, struct sock *sk,
				   struct bpf_tcp_req_attrs *attrs, int attrs__sz) __ksym __weak;

#endif /* SW_KERNEL_H */
