"""
Start the longest tests first, so that no worker ends alone with one.

Each worker of pytest-xdist begins with a part of the list, then steals tests from the end of another's part.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

# Four seconds and more on two idle cores. What shares a costly fixture with its file is not here.
LONG = frozenset(
    {
        "test_429_pauses_all_connections",
        "test_commands_of_a_page_print_what_it_shows",
        "test_copied_files_are_enough",
        "test_demo_runs_and_leaves_nothing",
        "test_destination_that_stops_reading_is_given_up",
        "test_eight_shards_send_what_one_process_sends",
        "test_first_signal_at_any_step",
        "test_full_disk_under_the_state_stops_no_copy",
        "test_gitops_loop_from_branch_to_prune",
        "test_huge_reports_are_cut_and_counted",
        "test_image_that_would_not_fit_is_not_begun",
        "test_index_bombs_are_refused",
        "test_kept_tag_takes_a_hundred_bytes_at_most",
        "test_kept_tag_takes_little_memory",
        "test_killed_at_named_steps",
        "test_killed_at_random_instants",
        "test_large_body_is_announced_first",
        "test_lost_output_changes_neither_copies_nor_exit_code",
        "test_many_rules_for_one_repository_are_named_fast",
        "test_narrow_encoding_is_no_failure",
        "test_pictures_show_what_the_program_prints",
        "test_plan_id_is_the_sha256_of_its_changes",
        "test_plan_of_a_hundred_thousand_tags",
        "test_random_edits_are_refused_or_change_nothing",
        "test_received_token_is_hidden_in_every_output",
        "test_registries_that_fail_a_fifth_of_all_requests",
        "test_registry_that_answers_429_to_half_of_all_requests",
        "test_reviewed_plan_is_what_is_applied",
        "test_rounds_of_moving_tags_leak_nothing",
        "test_run_ends_in_time_though_a_registry_hangs",
        "test_saved_plan_is_read_back",
        "test_saved_report_is_read_back",
        "test_signal_ends_a_command_in_mid_request",
        "test_small_images_do_not_queue_behind_large_ones",
        "test_storms_between_gullible_registries",
        "test_tag_is_deleted_only_if_the_source_denies_it",
        "test_time_limit_ends_a_command_in_mid_request",
        "test_urls_in_a_descriptor_get_no_request",
        "test_workflows_import_nothing_of_the_checkout",
    }
)


def begin_with_long(items: Sequence[pytest.Item], *, workers: int) -> list[pytest.Item]:
    """Return *items* so that the part of each of *workers* begins with its share of the long tests."""
    long = [item for item in items if getattr(item, "originalname", "") in LONG]
    others = [item for item in items if getattr(item, "originalname", "") not in LONG]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        share = long[worker::workers]
        # As `--dist worksteal` shares the list: equal parts, the larger ones last.
        size = (len(items) - len(ordered)) // (workers - worker)
        ordered += share + [others.pop(0) for _ in range(max(0, size - len(share)))]
    return ordered + others
