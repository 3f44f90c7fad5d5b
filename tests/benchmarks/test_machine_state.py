"""The machine's files are read as the kernel and JetPack write them."""

from __future__ import annotations

from benchmarks.machine_state import as_rows, read_state, usable_cores


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_box_with_everything_is_read(tmp_path):
    core = f"sys/devices/system/cpu/cpu{usable_cores()[0]}"
    write(
        tmp_path,
        {
            f"{core}/cpufreq/scaling_cur_freq": "1510400\n",
            f"{core}/cpufreq/scaling_max_freq": "1728000\n",
            f"{core}/cpufreq/scaling_governor": "schedutil\n",
            f"{core}/thermal_throttle/core_throttle_count": "3\n",
            "sys/class/hwmon/hwmon4/oc1_event_cnt": "2\n",
            "sys/class/thermal/thermal_zone0/temp": "48500\n",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/fs/cgroup/cpu.stat": "usage_usec 5\nnr_throttled 7\n",
            "var/lib/nvpmodel/status": "pmode:0002\n",
            "proc/loadavg": "0.50 0.40 0.30 1/200 999\n",
            "proc/pressure/cpu": "some avg10=1.50 avg60=0.75 avg300=0.10 total=5\n",
        },
    )
    found = read_state(tmp_path)
    assert (found.mhz, found.limit_mhz, found.governors) == ((1510.4,), (1728.0,), ("schedutil",))
    assert found.power_mode == "pmode:0002"
    assert found.celsius == {"thermal_zone0 cpu-thermal": 48.5}
    assert sorted(found.throttled.values()) == [2, 3, 7]
    assert found.load == (0.5, 0.4, 0.3)
    assert found.pressure == {"avg10": 0.015, "avg60": 0.0075, "avg300": 0.001}
    assert as_rows(found)["throttling events"] == 12


def test_a_machine_that_tells_nothing_is_unknown_not_zero(tmp_path):
    found = read_state(tmp_path)
    assert found.throttled == {}
    assert found.power_mode is None
    assert set(as_rows(found).values()) == {"unknown"}


def test_the_clock_comes_from_cpuinfo_where_there_is_no_cpufreq(tmp_path):
    write(tmp_path, {"proc/cpuinfo": "cpu MHz\t\t: 2596.140\ncpu MHz\t\t: 2000.000\n"})
    assert read_state(tmp_path).mhz == (2596.1, 2000.0)


def test_files_that_cannot_be_understood_are_left_out(tmp_path):
    write(
        tmp_path,
        {
            "sys/class/thermal/thermal_zone0/temp": "hot",
            "proc/loadavg": "low low low",
            "proc/pressure/cpu": "none",
        },
    )
    assert set(as_rows(read_state(tmp_path)).values()) == {"unknown"}
