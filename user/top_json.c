/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One sample for scripts: `top -j`. */
#include "json.h"
#include "top.h"
#include "util.h"

static void flow_json(struct json *j, const struct top_row *row)
{
	const struct top_flow *f = &row->flow;

	if (!row->known) /* what is not known is absent, not 0 */
		return;
	json_u64(j, "syns_per_s", (__u64)(f->syns + 0.5));
	json_u64(j, "answered_per_s", (__u64)(f->answered + 0.5));
	json_u64(j, "finished_per_s", (__u64)(f->finished + 0.5));
	json_u64(j, "dropped_per_s", (__u64)(f->dropped + 0.5));
	json_u64(j, "would_drop_per_s", (__u64)(f->would_drop + 0.5));
	json_u64(j, "packets_per_s", (__u64)(f->packets + 0.5));
	json_u64(j, "bytes_per_s", (__u64)(f->bytes + 0.5));
	json_u64(j, "over_limit_per_s", (__u64)(f->limit + 0.5));
}

static void service_json(struct json *j, const struct top_row *row)
{
	json_object(j, NULL);
	json_str(j, "service", row->name);
	json_u64(j, "id", row->id);
	json_str(j, "mode", text_mode_name(row->mode));
	json_bool(j, "armed", row->now == TOP_ATTACK);
	flow_json(j, row);
	json_u64(j, "established", row->established);
	json_u64(j, "half_open", row->half_open);
	json_close(j);
}

static void guard_json(struct json *j, const struct top_sample *s)
{
	const struct facts *f = &s->facts;

	json_str(j, "engine", text_engine_name(s->engine));
	json_bool(j, "armed", f->settings.armed == SW_ARMED);
	json_array(j, "devices");
	for (__u32 i = 0; i < f->devs; i++) {
		const struct dev_state *d = &f->dev[i];

		json_object(j, NULL);
		json_str(j, "device", d->dev.name);
		json_str(j, "mode", d->dev.native ? "native" : "generic");
		json_bool(j, "alive", d->alive && !d->elsewhere);
		json_close(j);
	}
	json_close(j);
	json_array(j, "tables");
	for (__u32 i = 0; i < SW_TABLE_MAX; i++) {
		json_object(j, NULL);
		json_str(j, "table", text_table_name((enum sw_table)i));
		json_u64(j, "used", f->table[i].used);
		json_u64(j, "max", s->max[i]);
		json_close(j);
	}
	json_close(j);
}

void top_json(const struct top_view *v)
{
	struct json j;

	json_begin(&j, stdout);
	json_object(&j, NULL);
	json_u64(&j, "version", 1);
	json_time(&j, "time", wall_ns(v->sample.facts.taken_ns));
	json_time(&j, "interval_s", v->elapsed_ns);
	guard_json(&j, &v->sample);
	json_object(&j, "totals");
	flow_json(&j, &v->all);
	json_u64(&j, "services_under_attack", v->attacked);
	json_close(&j);
	json_array(&j, "services");
	for (__u32 i = 0; i < v->rows; i++)
		service_json(&j, &v->row[i]);
	json_close(&j);
	json_array(&j, "drops");
	for (__u32 i = 0; i < v->reasons; i++) {
		const struct top_reason *r = &v->reason[i];

		json_object(&j, NULL);
		json_str(&j, "reason", text_reason(r->reason));
		if (v->known)
			json_u64(&j, "packets_per_s", (__u64)(r->pps + 0.5));
		json_u64(&j, "packets", r->packets);
		json_close(&j);
	}
	json_close(&j);
	json_object(&j, "states");
	for (__u32 s = SW_SYN_SENT; s < SW_STATE_MAX; s++)
		if (v->state[s])
			json_u64(&j, text_state_name((enum sw_state)s), v->state[s]);
	json_end(&j);
}
