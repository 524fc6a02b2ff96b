# Needs: results/evaluation/, results/datasets/{noise}/test/, maps and structures
# Makes: results/figures/workflow.json     (the graph of rules, as Snakemake sees it)
#        results/figures/figure_{figure}.* (PDF, PNG, and CSV with the numbers shown)
#        results/report.html               (everything in one page)


rule draw_workflow:
    output:
        graph="results/figures/workflow.json",
    log:
        "results/logs/draw_workflow.log",
    benchmark:
        "results/benchmarks/draw_workflow.tsv"
    conda:
        "../../envs/driver.yaml"
    params:
        config=config,
        snakefile=str(workflow.main_snakefile),
        code=code_digest("showing.workflow_graph"),
    message:
        "Asking Snakemake for the graph of the workflow"
    script:
        "../scripts/draw_workflow.py"


rule plot_figure:
    input:
        unpack(figure_inputs),
    output:
        pdf="results/figures/figure_{figure}.pdf",
        png="results/figures/figure_{figure}.png",
        csv="results/figures/figure_{figure}.csv",
    log:
        "results/logs/plot_figure/{figure}.log",
    benchmark:
        "results/benchmarks/plot_figure/{figure}.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        noises=NOISES,
        c_noise=config["report"]["c_noise"],
        patch=config["training"]["patch"],
        fade_width=config["structures"]["fade_width"],
        code=code_digest("showing.figures", "storage"),
    message:
        "Plotting figure {wildcards.figure}"
    script:
        "../scripts/plot_figure.py"


rule report_ms_ssim:
    input:
        quality="results/evaluation/quality.csv",
        fidelity="results/evaluation/fidelity.csv",
        figures=expand("results/figures/figure_{figure}.png", figure=FIGURES),
        structures=dft_summaries(),
        joints=expand("results/mosaics/{split}/joints.json", split=SPLITS),
        trainings=expand("results/models/{model}/metrics.csv", model=MODELS),
    output:
        page="results/report.html",
    log:
        "results/logs/report_ms_ssim.log",
    benchmark:
        "results/benchmarks/report_ms_ssim.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        config=config,
        code=code_digest("showing.report"),
        templates=[file_digest(path) for path in templates("page", "report")],
    message:
        "Composing the report"
    script:
        "../scripts/report_ms_ssim.py"
