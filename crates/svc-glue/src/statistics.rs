//! Statistics of columns as they are kept.

use bytes::Bytes;
use millpond_api_glue as api;
use millpond_types::Timestamp;
use prost::Message;

use crate::errors::{GlueError, invalid};

/// Of one column.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StatisticsBody {
    /// The column's type.
    #[prost(string, tag = "1")]
    pub column_type: String,
    /// Nanoseconds.
    #[prost(fixed64, tag = "2")]
    pub analyzed: u64,
    /// The kind of statistics, as the API names it.
    #[prost(string, tag = "3")]
    pub kind: String,
    #[prost(int64, tag = "4")]
    pub nulls: i64,
    #[prost(int64, tag = "5")]
    pub distinct: i64,
    /// Of dates (nanoseconds) and whole numbers.
    #[prost(sint64, optional, tag = "6")]
    pub least: Option<i64>,
    #[prost(sint64, optional, tag = "7")]
    pub most: Option<i64>,
    #[prost(double, optional, tag = "8")]
    pub least_double: Option<f64>,
    #[prost(double, optional, tag = "9")]
    pub most_double: Option<f64>,
    #[prost(message, optional, tag = "10")]
    pub least_decimal: Option<DecimalBody>,
    #[prost(message, optional, tag = "11")]
    pub most_decimal: Option<DecimalBody>,
    /// Of texts and bytes.
    #[prost(int64, tag = "12")]
    pub length: i64,
    #[prost(double, tag = "13")]
    pub average: f64,
    #[prost(int64, tag = "14")]
    pub trues: i64,
    #[prost(int64, tag = "15")]
    pub falses: i64,
}

/// A decimal number.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DecimalBody {
    #[prost(bytes = "vec", tag = "1")]
    pub unscaled: Vec<u8>,
    #[prost(int32, tag = "2")]
    pub scale: i32,
}

fn decimal(number: Option<&api::DecimalNumber>) -> Option<DecimalBody> {
    number.map(|number| DecimalBody { unscaled: number.unscaled_value.to_vec(), scale: number.scale })
}

fn show_decimal(number: Option<&DecimalBody>) -> Option<api::DecimalNumber> {
    number.map(|number| api::DecimalNumber {
        unscaled_value: Bytes::copy_from_slice(&number.unscaled),
        scale: number.scale,
    })
}

fn nanos(time: Option<Timestamp>) -> Option<i64> {
    time.and_then(|time| i64::try_from(time.0).ok())
}

fn time(nanos: Option<i64>) -> Option<Timestamp> {
    nanos.and_then(|nanos| u64::try_from(nanos).ok()).map(Timestamp)
}

impl StatisticsBody {
    /// Reads what a request says: the data of the kind that it names.
    pub fn of(given: &api::ColumnStatistics) -> Result<Self, GlueError> {
        use api::ColumnStatisticsType as Type;
        let data = &given.statistics_data;
        let base = Self {
            column_type: given.column_type.clone(),
            analyzed: given.analyzed_time.0,
            kind: data.type_.as_str().to_owned(),
            ..Self::default()
        };
        let body = match data.type_ {
            Type::Boolean => data.boolean_column_statistics_data.as_ref().map(|data| Self {
                trues: data.number_of_trues,
                falses: data.number_of_falses,
                nulls: data.number_of_nulls,
                ..base
            }),
            Type::Date => data.date_column_statistics_data.as_ref().map(|data| Self {
                least: nanos(data.minimum_value),
                most: nanos(data.maximum_value),
                nulls: data.number_of_nulls,
                distinct: data.number_of_distinct_values,
                ..base
            }),
            Type::Decimal => data.decimal_column_statistics_data.as_ref().map(|data| Self {
                least_decimal: decimal(data.minimum_value.as_ref()),
                most_decimal: decimal(data.maximum_value.as_ref()),
                nulls: data.number_of_nulls,
                distinct: data.number_of_distinct_values,
                ..base
            }),
            Type::Double => data.double_column_statistics_data.as_ref().map(|data| Self {
                least_double: data.minimum_value,
                most_double: data.maximum_value,
                nulls: data.number_of_nulls,
                distinct: data.number_of_distinct_values,
                ..base
            }),
            Type::Long => data.long_column_statistics_data.as_ref().map(|data| Self {
                least: data.minimum_value,
                most: data.maximum_value,
                nulls: data.number_of_nulls,
                distinct: data.number_of_distinct_values,
                ..base
            }),
            Type::String => data.string_column_statistics_data.as_ref().map(|data| Self {
                length: data.maximum_length,
                average: data.average_length,
                nulls: data.number_of_nulls,
                distinct: data.number_of_distinct_values,
                ..base
            }),
            Type::Binary => data.binary_column_statistics_data.as_ref().map(|data| Self {
                length: data.maximum_length,
                average: data.average_length,
                nulls: data.number_of_nulls,
                ..base
            }),
        };
        match body {
            Some(body) => Ok(body),
            None => {
                invalid(format!("The statistics of {} have no data of the type {}.", given.column_name, data.type_))
            }
        }
    }

    pub fn show(&self, column_name: String) -> Option<api::ColumnStatistics> {
        Some(api::ColumnStatistics {
            column_name,
            column_type: self.column_type.clone(),
            analyzed_time: Timestamp(self.analyzed),
            statistics_data: self.data(api::ColumnStatisticsType::parse(&self.kind)?),
        })
    }

    fn data(&self, type_: api::ColumnStatisticsType) -> api::ColumnStatisticsData {
        use api::ColumnStatisticsType as Type;
        let (number_of_nulls, number_of_distinct_values) = (self.nulls, self.distinct);
        let (maximum_length, average_length) = (self.length, self.average);
        let of = |wanted: Type| (type_ == wanted).then_some(());
        api::ColumnStatisticsData {
            type_,
            boolean_column_statistics_data: of(Type::Boolean).map(|()| api::BooleanColumnStatisticsData {
                number_of_trues: self.trues,
                number_of_falses: self.falses,
                number_of_nulls,
            }),
            date_column_statistics_data: of(Type::Date).map(|()| api::DateColumnStatisticsData {
                minimum_value: time(self.least),
                maximum_value: time(self.most),
                number_of_nulls,
                number_of_distinct_values,
            }),
            decimal_column_statistics_data: of(Type::Decimal).map(|()| api::DecimalColumnStatisticsData {
                minimum_value: show_decimal(self.least_decimal.as_ref()),
                maximum_value: show_decimal(self.most_decimal.as_ref()),
                number_of_nulls,
                number_of_distinct_values,
            }),
            double_column_statistics_data: of(Type::Double).map(|()| api::DoubleColumnStatisticsData {
                minimum_value: self.least_double,
                maximum_value: self.most_double,
                number_of_nulls,
                number_of_distinct_values,
            }),
            long_column_statistics_data: of(Type::Long).map(|()| api::LongColumnStatisticsData {
                minimum_value: self.least,
                maximum_value: self.most,
                number_of_nulls,
                number_of_distinct_values,
            }),
            string_column_statistics_data: of(Type::String).map(|()| api::StringColumnStatisticsData {
                maximum_length,
                average_length,
                number_of_nulls,
                number_of_distinct_values,
            }),
            binary_column_statistics_data: of(Type::Binary).map(|()| api::BinaryColumnStatisticsData {
                maximum_length,
                average_length,
                number_of_nulls,
            }),
        }
    }
}
