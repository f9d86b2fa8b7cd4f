/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the verifier of this kernel had to walk, against the ceiling of the project. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>
#include <sys/utsname.h>

#include "fixture.h"
#include "synwarden.skel.h"

#define CEILING 200000

TEST(programs_stay_below_200000_verified_instructions, "")
{
	struct bpf_program *prog;
	struct utsname u;
	int n = 0;

	uname(&u);
	bpf_object__for_each_program(prog, guard.skel->obj) {
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);

		if (bpf_program__fd(prog) < 0)
			continue;
		MUST(bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len));
		test_note("%s: %u verified instructions, %u bytes translated, kernel %s",
			  bpf_program__name(prog), info.verified_insns, info.xlated_prog_len,
			  u.release);
		CHECK(info.verified_insns > 0);
		if (info.verified_insns > CEILING)
			FAIL("%s: %u instructions, ceiling %d", bpf_program__name(prog),
			     info.verified_insns, CEILING);
		n++;
	}
	CHECK_EQ(n, guard.engine == SW_ENGINE_REQSK ? 4 : 3);
}
