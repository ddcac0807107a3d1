"""The points of the acceptance list and what shows each claim; accept.py runs them."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import dataclasses
import sys

from accept import ROOT, command, edit_round, exists, exported_too, figures, fresh, here, limit, peers, random_cuts, tests, whole_model

sys.path.insert(0, str(ROOT / "test/e2e"))
import models    # noqa: E402


@dataclasses.dataclass(frozen=True)
class Point:
    label: str
    title: str
    claims: tuple


def family(*prefixes):
    return [name for name in models.MODELS if name.startswith(prefixes)]


OCR, VOICE = family("ocr-"), family("voice-")
LIGHT = family("light-")
TORCH = [model.name for model in models.MODELS.values() if model.tier == "torch"]

POINTS = (
    Point("1", "set-up in two commands on a fresh Debian 12", (
        ("setup does nothing the second time", command("./dev", "setup", timeout_s=900)),
        ("the demo reads its picture with the recognizer",
         command("./dev", "demo", timeout_s=900, expect="read: '")),
        ("without root, one line says what is missing", tests("checks", r"without_root")),
        ("the demo in a new Debian root", fresh(r"^read: '.*", "line read")),
        ("the tests in a new Debian root", fresh(r"^fresh: demo test succeeded$", "success")),
        ("a clean build in 20 minutes", fresh(r"^build: (\d+) s$", "seconds of the build", 1200)),
        ("all tests in 30 more", fresh(r"^\w+: \d+ passed, .* \((\d+) s\)$", "seconds of all tests", 1800)),
        ("one pass edited, built, tested in a minute",
         edit_round("lib/Dialect/NN/Transforms/SimplifyMovement.cpp", "lit", "simplify-movement", 60)))),
    Point("2", "importer", (
        ("operators and graphs", tests("unit", r"import|GraphTest|operator")),
        ("local functions, function bodies, shape arithmetic", tests("unit", r"LocalFunctions|SchemaFunctions|ShapeArithmetic")),
        ("external data behind gigabytes", tests("unit", r"ManyGigabytes")),
        ("ONNX's own cases for single operators", tests("e2e", r"test_operators")),
        ("unsupported operators all at once, with node names", tests("lit e2e", r"unsupported")),
        ("external data, inside the model's folder only", tests("e2e", r"external")),
        ("dimension symbols, bound and bounded", tests("lit", r"Import/dimensions")),
        ("If kept, folded, or bound", whole_model("voice-if", "voice-if-bound", "voice-op18", "voice-op18-bound")),
        ("malformed input", tests("e2e", r"malformed|bytes_that_are|absurd")))),
    Point("3", "dialects nn, pipe, rt", (
        ("nn: verifiers, inference, round trip", tests("lit", r"Dialect/NN/ops|verify-symbols")),
        ("pipe: verifiers, room left on purpose", tests("lit", r"Dialect/Pipe/(ops|states|attributes)")),
        ("rt: verifiers, round trip", tests("lit", r"Dialect/Rt/")),
        ("whole suite under --verify-roundtrip", tests("lit", r"penstock-roundtrip :: ")),
        ("generated docs", exists("docs/generated")))),
    Point("4", "normalize and fuse", (
        ("batch norm into convolution, movement simplified", tests("lit", r"NN/(expand-batch-norm|simplify)")),
        ("activations and layer norm raised", tests("lit", r"NN/raise")),
        ("attention raised", tests("lit", r"NN/.*attention")),
        ("raised patterns of every whole model, counted", exported_too("test_raised")),
        ("fusion into kernels", tests("lit", r"NN/fuse")))),
    Point("5", "partition", (
        ("equal to an independent oracle on random graphs", tests("unit", r"PartitionOracle")),
        ("skip connections, clones, tied weights, no empty stage",
         tests("unit", r"PartitionKnown.*(Skip|Cloned|Tied|Empty|FillEveryStage)")),
        ("more stages than kernels is an error", tests("e2e lit", r"test_flags|Driver/plan|condition_stays")),
        ("cuts, limits, links, verified plans", tests("unit", r"Partition(Known|Memory|Verify|Scaling|Invalid)|Cluster")),
        ("assign in the IR, with cuts", tests("lit", r"Pipe/assign")),
        ("stages that the model's nodes carry", tests("lit unit", r"onnx-stages|StagesTest")),
        ("costs measured, calibrated, from a file", tests("lit", r"Driver/(costs|calibrate)")),
        ("penstock plan", tests("lit", r"Driver/plan")))),
    Point("6", "split and schedule", (
        ("pure stages", tests("lit", r"Pipe/split")),
        ("role programs", tests("lit", r"Pipe/schedule")),
        ("liveness proof, depths, period", tests("unit", r"ScheduleTests")),
        ("microbatch proof", tests("lit", r"verify-batch")),
        ("parts reassembled in order", tests("unit", r"Microbatches")))),
    Point("7", "memory", (
        ("planner against brute force", tests("unit", r"PlaceTests")),
        ("storage in the IR", tests("lit", r"Pipe/place")),
        ("peak and the cost of no reuse reported", tests("lit", r"Driver/plan|Driver/flags")),
        ("weights streamed, deduplicated, checksummed", tests("unit", r"WeightsTest")),
        ("weights packed, without their originals, counted", tests("e2e unit lit", r"packed_(alone|counted)|PackedWeights|pack-weights")),
        ("damaged weights noticed, mapped by their own stage only", tests("e2e", r"_weights$|own_weights")),
        ("no allocation after the first microbatch", tests("unit", r"no_?allocation")))),
    Point("8", "kernels", (
        ("generated kernels against plain loops", tests("unit", r"KernelTests")),
        ("oneDNN kernels with post-ops", tests("unit", r"OneDnn")),
        ("another version, layout or instruction set is an error", tests("unit e2e", r"Refuses|another_version|lower_instruction")),
        ("library or generated, named for each kernel", tests("lit", r"Driver/inspect")),
        ("the same objects from any number of compiling threads", tests("unit", r"SameBytesFromAnyNumberOfThreads")),
        ("--threads, with the bits of one", tests("unit e2e", r"Parallel\.|test_threads")),
        ("an executable refuses a CPU that lacks instructions", tests("unit", r"RequiredFeatures|Cpu\.")))),
    Point("9", "executables", (
        ("linked without a compiler", tests("unit", r"Linker")),
        ("needed libraries on the allow-list", tests("e2e", r"needed_libraries")),
        ("reproducible byte for byte", tests("e2e", r"reproducible")))),
    Point("10", "runtime", (
        ("transports' conformance suite", tests("unit", r"Conformance")),
        ("faults, deadlines", tests("unit", r"Fault|deadline")),
        ("spinning only where there are cores enough", tests("unit", r"Bench|Chain")),
        ("killed and stopped stages", tests("e2e python", r"dead_stage|killed_stage")),
        ("under the sanitizers", tests("sanitize", r"")))),
    Point("11", "command line and Python", (
        ("command line", tests("lit", r"Driver/")),
        ("dumps, resumed from every phase", tests("lit", r"Driver/(phases|edited-dump)")),
        ("traces and their picture", tests("python", r"timeline|trace")),
        ("Python: compile and Session", tests("python", r"test_session")))),
    Point("12", "dynamic dimensions", (
        ("free shapes from one folder", whole_model("ocr-classifier", "ocr-recognizer", "ocr-detector")),
        ("bound and bounded", tests("lit", r"Import/dimensions")))),
    Point("models", "real models with 1 to 4 stages", (
        ("text detector, recognizer, classifier", whole_model(*OCR)),
        ("voice activity, state fed back over 100 chunks", whole_model(*VOICE)),
        ("nine networks of the onnx package, shipped and refilled", whole_model(*LIGHT)),
        ("models exported with torch", whole_model(*TORCH)))),
    Point("shown", "how it is shown", (
        ("native: runs in an empty root as nobody", tests("e2e", r"test_native")),
        ("pipelined: stage 0 begins before stage 1 ends", tests("unit", r"Pipelined")),
        ("no copy, own weights only", tests("e2e", r"no_copy|own_weights")),
        ("packed, layouts kept", tests("e2e", r"test_packed")),
        ("activation reorders of every whole model, counted", exported_too("test_layouts")),
        ("examples", tests("e2e", r"test_examples")),
        ("resume: an edited dump", tests("lit", r"edited-dump")),
        ("fuzz", tests("fuzz", r"")),
        ("no special cases, no operator in the runtime", tests("checks", r"check_models")))),
    Point("speed", "speed and memory against peers", (
        ("benchmark table", exists("docs/Benchmarks.md")),
        ("one stage, one thread, beside ONNX Runtime with one", peers(stages=1, mean=1.0, least=0.8)),
        ("two stages, beside ONNX Runtime with two threads", peers(stages=2, mean=1.0, least=0.9)),
        ("two stages, of what the slowest alone allows", limit(0.9)),
        ("compiled in 20 s with 1 GiB, first result within 1 s", figures("bench/startup.py", {
            "bert_base": {"compile_s": 20, "compile_peak_mib": 1024, "first_result_best_s": 1}})),
        ("5 us one way over shared memory, no copy of large messages", figures("bench/transport.py", {
            "64": {"p50_us": 5, "bytes_copied": 0}, "67108864": {"bytes_copied": 0}})))),
    Point("bad-input", "a clear error, the right status, no partial output", (
        ("models", tests("e2e", r"bytes_that_are|malformed|unsupported|absurd|external")),
        ("flags and folders", tests("e2e", r"test_flags|missing_file|output_folder|output_below")),
        ("plans that do not fit the model", tests("e2e", r"plan_of_another|plan_that")),
        ("disk full", tests("e2e unit", r"disk_?full|FullDisk")),
        ("damaged folders, wrong inputs", tests("e2e", r"damaged|truncated|missing_|input|two_folders|not_a_folder")))),
    Point("tests", "the layers of tests", (
        ("lit per pass", tests("lit", r"")), ("GoogleTest with oracles", tests("unit", r"")),
        ("check scripts", tests("checks", r"")), ("whole models", tests("e2e", r"")), ("Python", tests("python", r"")),
        ("sanitizers", tests("sanitize", r"")), ("fuzzing", tests("fuzz", r"")))),
    Point("done", "done when", (
        ("docs/Architecture.md with real dumps", tests("checks", r"update_docs")),
        ("licence and notices", exists("LICENSE", "THIRD_PARTY_NOTICES.md")))),
    Point("t1", "the same bits whatever the cut", (
        ("random cuts in every test run, with AVX2 too", tests("e2e", r"test_cuts")),
        ("twenty random cuts of every model into 1 to 6 stages, as processes and all in one", random_cuts(20, None, *models.MODELS)),
        ("the same with AVX2", random_cuts(20, "AVX2", *models.MODELS)),
        ("code that does not depend on who compiles it", tests("unit", r"CallersThreads|SameBytesFromAnyNumberOfThreads")),
        ("what could break it, and why it does not", exists("docs/Bits.md")))),
    Point("t2", "a proof over all role programs, before anything runs", (
        ("planted faults and random programs, against a simulation", tests("unit", r"ScheduleTests")),
        ("planted faults in the IR", tests("lit", r"Pipe/(verify-)?schedule|ops-items-invalid")),
        ("planted faults in a folder, refused before anything starts", tests("unit e2e", r"Prove\.|test_proof")),
        ("the predicted period beside the measured one", tests("lit", r"Driver/bench")),
        ("64 stages proved in 100 ms", figures("bench/proof.py", {"64": {"proof_ms": 100}})))),
    Point("t3", "the memory contract", (
        ("kept by every whole model, static and bounded", exported_too("test_contract_is_kept")),
        ("kept with 1 to 4 stages", command("{python}", "test/e2e/memory.py", "ocr-detector-static", "ocr-recognizer",
                                            "light-densenet121", timeout_s=1800)),
        ("free dimensions named", tests("e2e", r"free_dimension_is_named")),
        ("counted in the IR", tests("lit", r"Pipe/place-buffers")),
        ("limits: stage, excess, a cut or depth that fits, a proof, or unproven",
         tests("lit unit", r"Driver/memory-limit|Pipe/schedule-depth|PartitionMemory|PartitionOracle.SlotsByDepth")))),
    Point("t4", "stages that cannot be mixed up", (
        ("swapped executables, over shared memory", tests("e2e", r"swapped_executable")),
        ("swapped folders, another ABI, over MPI", tests("e2e unit", r"swapped_folder|MpiHandshake")),
        ("the part that differs, alone", tests("unit", r"FingerprintsDifferAndSayHow|strangersAreRefused|refusesStrangers")),
        ("read out of an executable, anywhere", tests("e2e lit", r"inspect_reads|version_says|Driver/inspect|damaged_executables")))),
    Point("t5", "deadlines and words", (
        ("one line: stage, microbatch, tensor, peer, last step of each", tests("unit e2e", r"Stall\.|stoppedStage|test_is_stopped")),
        ("every wait: stage, source, sink, start, ranks",
         tests("unit e2e", r"stoppedStage|never_starts|theSourceHas|theEndIsCommon|aCutLink")),
        ("--on-hang dump", tests("unit e2e", r"Queues\.|hang_is_dumped")))),
    Point("t6", "faults", (
        ("SIGKILL, SIGSEGV, SIGSTOP in each stage at each step", tests("e2e", r"test_faults.*(test_dies|test_is_stopped)")),
        ("the n-th call fails, for every n", tests("unit e2e", r"everyCallCan|every_call_fails")),
        ("ranks that notice a stall together: one line", tests("unit", r"Word\.|RankLaunch.faultsEndTheRun")),
        ("a launcher that dies or is stopped, a peer that never starts", tests("e2e", r"test_launcher|never_starts|all_stopped")),
        ("disk full, results so far kept and marked", tests("e2e", r"disk_full_of|results_(so_far|of_a_killed)")),
        ("shared memory exhausted, slow consumers", tests("unit e2e", r"memory_exhausted|cannot_be_had|out_of_memory|slow_?consumer|stands_still")),
        ("weights changed under a running stage", tests("unit e2e", r"WeightsFile\.|weights_change")),
        ("docs/Reliability.md names tests that exist", tests("checks", r"check_reliability")),
        ("fault to exit a second after the deadline, first result of resnet50 in a second", figures("bench/faults.py", {
            "kill": {"after_deadline_s": 1}, "stop": {"after_deadline_s": 1}, "start": {"first_result_s": 1}})))),
    Point("t7", "MPI and other ways between ranks", (
        ("the same folder under mpirun, and a program per rank", tests("e2e unit", r"test_ranks|RankLaunch")),
        ("bits of whole models on ranks", exported_too("test_rank_models")),
        ("two hosts: bits, a link that is cut, a link that is slow", tests("e2e", r"test_hosts.*(same_bits|cut_link|slow_link)")),
        ("a transport per edge, no copy between ranks of one host",
         tests("e2e unit", r"each_edge|shared_slots|eachEdge|unknownHosts|ranksOfOneHost|aNeighbourThat")),
        ("a hop within 10 % of MPI's own and 2 us", figures("bench/ranks.py", {
            size: {"excess_us": 2} for size in ("64", "4096", "65536", "1048576", "16777216")})),
        ("1 ms of delay between hosts costs 10 % at most", figures("bench/hosts.py", {
            "mpi": {"loss_percent": 10}, "tcp": {"loss_percent": 10}})))),
    Point("t8", "launchers", (
        ("Open MPI", tests("e2e unit", r"test_ranks|RankLaunch")),
        ("srun, with a controller and a node daemon", tests("e2e", r"test_slurm")),
        ("the variables of torchrun, without it", tests("e2e", r"test_torchrun.*(same_bits|one_stage|never_starts|killed)")),
        ("torchrun itself", exported_too("test_torchrun_itself")),
        ("the manifest for Kubernetes, by its schema", exported_too("test_kubernetes_schema")),
        ("each launcher's variables", tests("unit", r"RankVariables")),
        ("a wrong number of ranks", tests("e2e unit", r"wrong_number_of_ranks|wrong_world_size|mistakesAreNamedOnce")))),
    Point("t9", "one plan, three forms", (
        ("all-in-one: the bytes of the processes, 1 to 4 stages of every model", tests("e2e", r"same_bytes_(as_processes|with_states)")),
        ("from the same objects, listed, no further libraries", tests("e2e", r"all_in_one.*(listed|needed|without_it)")),
        ("planted failures, crashes, deadlines end it in words", tests("unit", r"AllInOneProcess")),
        ("under gdb", tests("e2e", r"under_a_debugger")),
        ("one stage alone from a recording, of this form too", tests("e2e lit unit", r"test_recorded|Driver/replay|Recording")))),
    Point("t11", "stages in the ONNX file", (
        ("read", tests("lit unit", r"onnx-stages|Stages\.")),
        ("written, read back as the same plan", tests("e2e", r"test_onnx_stages.*round_trip")),
        ("the same folder, functions, branches, clones", tests("e2e", r"test_onnx_stages.*(folder|calls|cut|branches|clones|silent)")),
        ("weights by reference", tests("e2e", r"external_data_stay|weights_are_not_loaded")),
        ("refused where ONNX cannot say it", tests("e2e", r"one_number_of_stages|no_place_to_write|function_that_is_cut")))),
    Point("t12", "cheap re-cuts", (
        ("a moved boundary of bert_base: no kernel built, 2 s", figures("bench/recut.py", {
            "bert_base": {"recut_s": 2, "recut_built": 0}})),
        ("another cut builds no kernel, the same bytes with and without a cache", tests("e2e lit", r"recut_builds|Driver/cache")),
        ("damaged entries are noticed and built again", tests("unit lit", r"DamagedEntries|WrongPlace|Driver/cache")),
        ("compilations at once, some killed", tests("e2e unit", r"recut_while|BuildCacheTest.ManyAtOnce")),
        ("all that an object depends on is in its key", tests("unit", r"ProgramsDiffer|ProfilesDiffer|GivesWhatWasCompiled")),
        ("the folder is its user's alone, and has a limit", tests("unit", r"FolderIsPrivate|FolderOfAnother|Prunes")))),
    Point("t13", "untrusted input", (
        ("readers fuzzed under sanitizers", tests("fuzz", r"")),
        ("limits on recursion and sizes", tests("e2e unit", r"functions_without_end|extents_(that|of)|nested|PlanFile|long_chain")),
        ("external data, also in a cache of links", tests("e2e", r"external|cache_of_links|link_that_leaves")),
        ("permissions, links, names by chance", tests("e2e", r"permissions|links_are_not|temporary_files")),
        ("pipes are not waited for", tests("e2e", r"pipes_are_not")),
        ("local endpoints admit the same user only", tests("e2e", r"another_user|host_of_another")))),
    Point("t14", "endurance", (
        ("some seconds of it", tests("e2e", r"test_endurance")),
        ("two minutes at its rate: nothing wrong, nothing grows", figures("bench/endurance.py", {
            "run": {"wrong": 0, "missing": 0, "descriptors_growth": 0, "host_mib_growth": 4, "stages_mib_growth": 2}},
            "--requests", "33333", "--seconds", "120")),
        ("an hour of it, recorded", exists("docs/Endurance.md")))),
    Point("c1", "CUDA: kernels compiled without a GPU", (
        ("several chips at once, figures in report and dump", tests("lit", r"Driver/cuda-kernels")),
        ("no toolkit, a wrong chip, an assembler that refuses", tests("lit", r"Driver/cuda\.test")),
        ("from linalg to launches, NVVM and PTX, step by step", tests("lit", r"Target/Cuda|Driver/cuda-ptx")),
        ("objects as a runtime sees them", tests("unit", r"CudaObject")),
        ("no spills in kernels of trained models, for any number of stages",
         tests("e2e", r"assembled_without_spills|same_functions_for_any")),
        ("every model in one to four stages", tests("e2e", r"test_cuda\.test_one_to_four_stages")),
        ("and those exported with torch", exported_too(f"test_one_to_four_stages and ({' or '.join(TORCH)})")),
        ("no spills in kernels of models exported with torch", exported_too(f"test_assembled_without_spills and ({' or '.join(TORCH)})")),
        ("what has no code says why, and what to do", tests("lit", r"map-launches-invalid")))),
    Point("c2", "CUDA: every generated kernel executed on the CPU", (
        ("the cases of the kernels' tests: the CPU target's numbers, nothing found", tests("unit", r"GpuKernelTests")),
        ("planted faults are found, each barrier of a recurrent layer is needed", tests("unit", r"GpuMachine|TeamsNeed")),
        ("order, branches, sums of columns, wide accesses", tests("unit", r"GpuOrdered")),
        ("kernels of trained models", tests("e2e", r"played_on_the_host")),
        ("what checks them on a GPU finds what it has to", tests("e2e", r"test_gpu_conformance")))),
    Point("c3", "CUDA: streams and graphs", (
        ("kernels and copies joined by events, each of which is needed", tests("unit", r"CudaStage\.")),
        ("one allocation per stage, none in steady state", tests("unit", r"CudaStage\.steadyState")),
        ("not enough memory: how much, and for what", tests("unit", r"(CudaStage|Nccl)\.notEnoughMemory")),
        ("the stand-in finds every fault that is planted", tests("unit", r"Standin\.")),
        ("our declarations are those of CUDA and NCCL", here("unit", "CudaHeaders")),
        ("their libraries have every symbol, and no plug-in is linked with one", here("e2e", "test_cuda_libraries")),
        ("a role on a device: every call of the driver fails once", tests("unit", r"DeviceRole\.")),
        ("stages of compiled models", tests("e2e", r"test_cuda_(stages|attention)")),
        ("branches that take extents for granted", tests("e2e", r"test_cuda_stages.*test_branches")))),
    Point("c4", "CUDA: the NCCL transport", (
        ("conformance suite", tests("unit", r"Conformance.*/nccl")),
        ("transfers joined to kernels by events, each of which is needed", tests("unit", r"Nccl\.(streams|eachEvent)")),
        ("a lost, missing or refusing peer is named", tests("unit", r"Nccl\.")),
        ("every call of the driver and NCCL fails once: an error, no hang, nothing left", tests("unit", r"CudaFaults")),
        ("stages of a compiled model, as threads", tests("e2e", r"payloads_over_nccl")),
        ("one order of connections, receives ahead on all channels", tests("unit", r"Nccl\.(connectsInOneOrder|receivesAhead)")),
        ("what stands in for it between processes finds what does not match", tests("unit", r"StandinPeer\.")),
        ("asked for by a flag or the cluster file", tests("lit", r"Driver/cuda\.test")),
        ("stages of compiled models, under every launcher", tests("e2e", r"test_nccl")))),
    Point("c5", "CUDA: mixed pipelines", (
        ("stages on CPUs and on GPUs in one plan, by the cluster file", tests("e2e lit", r"test_mixed_with_the_host|Driver/cuda\.test")),
        ("copies to and from the device in the costs of a plan", tests("unit", r"Cluster.*Staging")),
        ("and in its IR, where they are needed and nowhere else",
         tests("lit", r"Pipe/(ops-copies-invalid|schedule-devices)|Rt/program-devices-invalid|PipeToRt/devices")),
        ("each is a call of the program, and happens there", tests("unit", r"DeviceRole\.copiesAreCalls")))),
    Point("c6", "CUDA: penstock doctor", (
        ("driver, devices, links, libraries, and what is missing", tests("lit unit", r"doctor-cuda|CudaDevice\.")),)),
    Point("c7", "CUDA: placement", (
        ("stages follow links, or CUDA_VISIBLE_DEVICES", tests("unit lit", r"orderByLinks|followsLinks|doctor-cuda")),
        ("several stages on one device", tests("unit e2e", r"DeviceRole\.number|test_nccl.*(shared_devices|ranks_on_one_device)")))),
    Point("c8", "CUDA: products by cuBLASLt", (
        ("objects that call it give the CPU target's numbers", tests("unit", r"CublasLtKernelTests|CublasLtKernel\.")),
        ("layouts, epilogues, TF32 on request, nothing asked twice, failures named", tests("unit", r"CublasLtTest\.")),
        ("misuse is found", tests("unit", r"CublasLtStandin")),
        ("kernels are cut where its epilogue ends", tests("lit", r"Target/Cuda/split-epilogues")),
        ("algorithms kept in the folder, and only what fits is taken", tests("unit e2e", r"TuningTest\.|algorithms_are_kept")),
        ("attention of f32 is two products", tests("lit e2e", r"Target/Cuda/split-attention|test_cuda_attention.*test_(products|cut)")),
        ("inspect names the library", tests("lit", r"Driver/cuda-kernels")),
        ("our declarations are cuBLASLt's", here("unit", "CudaHeaders")))),
    Point("c9", "CUDA: convolutions and attention by cuDNN", (
        ("objects that call it give the CPU target's numbers", tests("unit", r"CudnnKernelTests|CudnnKernel\.")),
        ("images, epilogues, TF32 on request, nothing asked twice, failures named", tests("unit", r"CudnnTest\.")),
        ("the library itself has engines for all that, for four kinds of chips", here("unit", "CudnnPlan")),
        ("misuse is found", tests("unit", r"CudnnStandin")),
        ("kernels are cut where it ends, constants that it reads are weights", tests("lit", r"Target/Cuda/split-epilogues")),
        ("attention of 16 bits reads heads where they lie", tests("unit lit", r"CudnnAttention|Target/Cuda/split-attention")),
        ("attention in stages of a compiled model", tests("e2e", r"test_cuda_attention.*(narrow|cudnn)")),
        ("stages of a compiled model, and one without the library", tests("e2e", r"test_images|test_no_cudnn")),
        ("our declarations are cuDNN's", here("unit", "CudaHeaders")))),
    Point("c10", "CUDA: one command packs what a machine with a GPU proves", (
        ("packed, unpacked and judged, against the stand-in; a wrong result is found; skipped without a GPU", tests("e2e", r"test_gpu\.")),
        ("kernels are timed beside the libraries, and what is promised of them is judged", tests("e2e", r"test_gpu_bench|test_report_of")),
        ("what a device does is seen in its own time", tests("unit e2e", r"Timeline\.|test_(idle_time|copies_behind|exposed)")))),
)
