# shards: Counts "shards" of a region.
#
# Made by `wharf pipeline compile shards-in-containers.yaml --target cwl --stack prod`.
# Change the pipeline, and make this anew. The pipeline itself is in the store: a task
# needs that and `wharf`, and nothing else.

cwlVersion: v1.2
$graph:
- id: main
  class: Workflow
  label: shards
  doc: Counts "shards" of a region.
  requirements:
    MultipleInputFeatureRequirement: {}
    ScatterFeatureRequirement: {}
    StepInputExpressionRequirement: {}
  inputs:
    run_id:
      doc: Another one for each run; with the same again, it goes on.
      type: string
    run_partition:
      doc: The partition, such as north
      type:
        type: enum
        symbols:
        - north
        - south
    text:
      doc: What is read (artifact:NAME, or a path)
      type:
      - string
      - File
      - Directory
    top:
      doc: "How many words: the \"top\" ones"
      type: long
      default: 10
    title:
      type: string
      default: It's {{ a }} $TITLE
    strict:
      type: boolean
      default: false
    weights:
      type: Any
      default:
      - 0.5
      - 1.0
    secret_AWS_SECRET_ACCESS_KEY:
      doc: The file with AWS_SECRET_ACCESS_KEY
      type: File
      default:
        class: File
        location: file:///run/secrets/key
  steps:
    split:
      doc: Runs steps/split.wasm.
      run: "#step"
      in:
        run_id: run_id
        run_partition: run_partition
        text: text
        top: top
        title: title
        strict: strict
        weights: weights
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: split
        file_name:
          default: split
        retried_by:
          default: step
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
        ToolTimeLimit:
          timelimit: 243
    count:
      doc: Runs steps/count.wasm.
      run: "#step"
      scatter: item_index
      in:
        run_id: run_id
        run_partition: run_partition
        text: text
        top: top
        title: title
        strict: strict
        weights: weights
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: count
        comes_after:
          source:
          - split/ending
          linkMerge: merge_flattened
        file_name:
          valueFrom: count-$(inputs.item_index)
        item_index:
          default:
          - 0
          - 1
        retried_by:
          default: step
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
        ToolTimeLimit:
          timelimit: 490
    merge:
      doc: Runs steps/merge.wasm, and publishes all-shards.
      run: "#step"
      in:
        run_id: run_id
        run_partition: run_partition
        text: text
        top: top
        title: title
        strict: strict
        weights: weights
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: merge
        comes_after:
          source:
          - count/ending
          linkMerge: merge_flattened
        file_name:
          default: merge
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 3328
        ToolTimeLimit:
          timelimit: 7260
    last:
      doc: Publishes all-shards:prod.
      run: "#step"
      in:
        run_id: run_id
        run_partition: run_partition
        text: text
        top: top
        title: title
        strict: strict
        weights: weights
        secret_AWS_SECRET_ACCESS_KEY: secret_AWS_SECRET_ACCESS_KEY
        step_name:
          default: last
        comes_after:
          source:
          - merge/ending
          linkMerge: merge_flattened
        file_name:
          default: last
      out:
      - ending
      requirements:
        ResourceRequirement:
          ramMin: 1280
  outputs:
    split_ending:
      type: File
      outputSource: split/ending
    count_ending:
      type: File[]
      outputSource: count/ending
    merge_ending:
      type: File
      outputSource: merge/ending
    last_ending:
      type: File
      outputSource: last/ending
- id: step
  class: CommandLineTool
  doc: Runs a step of the pipeline.
  requirements:
    EnvVarRequirement:
      envDef:
        AWS_REGION: eu-central-1
    NetworkAccess:
      networkAccess: true
  hints:
    DockerRequirement:
      dockerPull: registry.example.com/wharf:0.1.0
  baseCommand:
  - wharf
  - step
  - exec
  - --store
  - s3://bucket/wharf
  - --pipeline
  - sha256:1b0aabab456a15eaae9b018db768d05c69620f65a5f307b483c42658c75e28b6
  inputs:
    run_id:
      type: string
      inputBinding:
        prefix: --run-id
    run_partition:
      type:
        type: enum
        symbols:
        - north
        - south
      inputBinding:
        prefix: --partition
    text:
      type:
      - string
      - File
      - Directory
      inputBinding:
        prefix: text=
        separate: false
    top: long
    title: string
    strict: boolean
    weights: Any
    secret_AWS_SECRET_ACCESS_KEY: File
    step_name:
      type: string
      inputBinding:
        prefix: --step
    item_index:
      type: int?
      inputBinding:
        prefix: --item
    retried_by:
      type: string?
      inputBinding:
        prefix: --retries
    file_name: string
    comes_after: File[]?
  arguments:
  - --ending-to
  - $(inputs.file_name).json
  - --secret
  - AWS_SECRET_ACCESS_KEY=file:$(inputs.secret_AWS_SECRET_ACCESS_KEY.path)
  - top=$(inputs.top)
  - title=$(inputs.title)
  - strict=$(inputs.strict)
  - weights=$(inputs.weights)
  outputs:
    ending:
      doc: How it ended, and what it returned, as JSON.
      type: File
      outputBinding:
        glob: $(inputs.file_name).json
  successCodes:
  - 0
  - 99
  temporaryFailCodes:
  - 75
  permanentFailCodes:
  - 1
  - 2
