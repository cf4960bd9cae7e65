"""What the official contrib distribution has and this collector has not: who names it is told where to go.

The modules of `distributions/otelcol-contrib/manifest.yaml` in opentelemetry-collector-releases, v0.159.0, without the
word for their kind at the end. A type is its module's name, more often than not with underscores, so those are not
compared; the few types that are called otherwise, or were, are added behind the modules.
"""

from __future__ import annotations

RECEIVERS = """
activedirectoryds aerospike apache apachespark awscloudwatch awscontainerinsight awsecscontainermetrics awsfirehose
awslambda awss3 awsxray azureblob azureeventhub azuremonitor carbon chrony ciscoos cloudflare cloudfoundry collectd
couchdb datadog dockerstats elasticsearch envoyals expvar faro filelog filestats flinkmetrics fluentforward github
gitlab googlecloudmonitoring googlecloudpubsub googlecloudspanner haproxy hostmetrics httpcheck icmpcheck iis influxdb
jaeger journald k8scluster k8sevents k8sobjects kafka kafkametrics kubeletstats libhoney loki macosunifiedlogging
memcached mongodb mongodbatlas mysql namedpipe netflow nginx nop nsxt ntp obi oracledb otelarrow otlpjsonfile podman
postgresql pprof prometheus prometheusremotewrite purefa purefb pulsar rabbitmq receivercreator redis riak saphana
simpleprometheus skywalking snmp snowflake solace splunkenterprise splunkhec sqlquery sqlserver sshcheck statsd stef
syslog systemd tcpcheck tcplog tlscheck udplog vcenter wavefront webhookevent windowseventlog windowsperfcounters
windowsservice yanggrpc zipkin zookeeper
awscontainerinsightreceiver prometheussimple
"""
PROCESSORS = """
cardinalityguardian coralogix cumulativetodelta deltatocumulative deltatorate drain filter genainormalizer geoip
groupbyattrs groupbytrace interval isolationforest k8sattributes logdedup metricsgeneration metricstarttime
metricstransform remotetap resourcedetection schema span sumologic tailsampling transform unroll
experimentalmetricsgeneration
"""
EXPORTERS = """
alibabacloudlogservice awscloudwatchlogs awsemf awskinesis awss3 awsxray azureblob azuredataexplorer azuremonitor
bmchelix cassandra clickhouse coralogix datadog dataset doris elasticsearch faro googlecloud googlecloudpubsub
googlecloudstorage googlemanagedprometheus honeycombmarker influxdb kafka loadbalancing logicmonitor logzio mezmo nop
opensearch otelarrow prometheus prometheusremotewrite pulsar rabbitmq sentry signalfx splunkhec stef sumologic syslog
tencentcloudlogservice tinybird zipkin
"""
EXTENSIONS = """
ack asapauth awsiamdbauth awslogsencoding awscloudwatchmetricstreamsencoding awsproxy azureauth azureencoding basicauth
cgroupruntime datadog dbstorage dockerobserver ecsobserver googleclientauth googlecloudlogentryencoding headerssetter
hostobserver httpforwarder jaegerencoding jaegerremotesampling jsonlogencoding k8sleaderelector k8sobserver
oauth2clientauth oidcauth opamp otlpencoding pebbletailstorage pprof redisstorage sigv4auth skywalkingencoding sumologic
textencoding zipkinencoding zpages
asapclient oauth2client oidc
"""
CONNECTORS = """
count datadog exceptions failover forward grafanacloud otlpjson roundrobin routing servicegraph signaltometrics
spanmetrics sum
"""

TYPES = {
    "receivers": frozenset(RECEIVERS.split()),
    "processors": frozenset(PROCESSORS.split()),
    "exporters": frozenset(EXPORTERS.split()),
    "extensions": frozenset(EXTENSIONS.split()),
    "connectors": frozenset(CONNECTORS.split()),
}


def official(section: str, kind: str) -> bool:
    """Whether the contrib distribution has this type of component."""
    return kind.replace("_", "").lower() in TYPES[section]
