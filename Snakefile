# From a crystal to the MS-SSIM report: structures -> DFT -> density maps ->
# learned density -> scenes; joined images -> noisy data sets -> trainings -> evaluation -> report.
# Run it with `make run`, or `snakemake --cores N` in an environment that has Snakemake.
from snakemake.utils import min_version

min_version("9.27")


configfile: workflow.source_path("config/config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
# in the order in which data flows
include: "workflow/rules/structures.smk"
include: "workflow/rules/dft.smk"
include: "workflow/rules/maps.smk"


if learned(config):

    include: "workflow/rules/scenes.smk"


include: "workflow/rules/datasets.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/validation.smk"
include: "workflow/rules/reference.smk"
include: "workflow/rules/micrographs.smk"


rule all:
    default_target: True
    input:
        "results/structures/structures.csv",
        "results/evaluation/quality.csv",
        "results/evaluation/defects.csv",
        ["results/evaluation/crystals.csv"] if len(CRYSTALS) > 1 else [],
        ["results/density/accuracy.csv"] if learned(config) else [],
        "results/report.html",
        micrographs(),


rule figures:
    input:
        figures(),


rule validation:
    input:
        "results/validation.html",


rule test_set:
    input:
        lambda wildcards: reference_files(),


rule micrographs:
    input:
        micrographs(),
